// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <ctime>

#include "thaw/base/check.h"
#include "thaw/crypto/digest.h"

namespace thaw {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string formatted(S3Time time, const char* format) {
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  const ByteSpan data = as_bytes(text);
  // SAFETY: unsigned char may alias any object.
  CHECK(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(data.data()), data.size(), out,
               &bytes) != nullptr);
  return {reinterpret_cast<const char*>(out), bytes};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Trimmed, and runs of blanks as one: the form in which a header's value is signed.
std::string canonical_value(std::string_view value) {
  std::string canonical;
  bool blank = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      blank = true;
      continue;
    }
    if (blank && !canonical.empty()) canonical += ' ';
    blank = false;
    canonical += c;
  }
  return canonical;
}

struct Authorization {
  std::string_view access_key;
  std::string_view date;
  std::string_view region;
  std::string scope;
  std::string_view signed_headers;
  std::string_view signature;
};

std::optional<Authorization> parse_authorization(std::string_view header) {
  if (!header.starts_with(kAlgorithm)) return std::nullopt;
  header.remove_prefix(kAlgorithm.size());
  if (!header.starts_with(' ')) return std::nullopt;
  header.remove_prefix(1);
  const std::vector<std::string_view> fields = split(header, ',');
  static constexpr std::string_view kNames[] = {"Credential=", "SignedHeaders=", "Signature="};
  if (fields.size() != std::size(kNames)) return std::nullopt;
  std::string_view values[std::size(kNames)];
  for (size_t i = 0; i < fields.size(); ++i) {
    std::string_view field = fields[i];
    if (i > 0 && field.starts_with(' ')) field.remove_prefix(1);
    if (!field.starts_with(kNames[i])) return std::nullopt;
    values[i] = field.substr(kNames[i].size());
  }
  const std::vector<std::string_view> credential = split(values[0], '/');
  if (credential.size() != 5 || credential[3] != "s3" || credential[4] != "aws4_request") {
    return std::nullopt;
  }
  Authorization parsed;
  parsed.access_key = credential[0];
  parsed.date = credential[1];
  parsed.region = credential[2];
  parsed.scope = std::string(values[0].substr(credential[0].size() + 1));
  parsed.signed_headers = values[1];
  parsed.signature = values[2];
  return parsed;
}

/// The reason why the list of signed headers will not do; empty if it will.
std::string fault_of_signed_headers(const S3Request& request,
                                    const std::vector<std::string_view>& names) {
  if (!std::is_sorted(names.begin(), names.end()) ||
      std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return "SignedHeaders are repeated or not in ascending order";
  }
  for (const std::string_view name : names) {
    if (!request.header(name)) return "the signed header " + std::string(name) + " is missing";
  }
  for (const auto& [name, value] : request.headers) {
    if (name != "host" && !name.starts_with("x-amz-")) continue;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return "the header " + name + " is not signed";
    }
  }
  return {};
}

std::string canonical_request(const S3Request& request, const S3Target& target,
                              const std::vector<std::string_view>& names,
                              std::string_view signed_headers, std::string_view payload_hash) {
  std::string text = request.method + "\n" + target.raw_path + "\n" + target.canonical_query + "\n";
  for (const std::string_view name : names) {
    text += std::string(name) + ":" + canonical_value(*request.header(name)) + "\n";
  }
  return text + "\n" + std::string(signed_headers) + "\n" + std::string(payload_hash);
}

S3Refusal skewed(std::string_view date, S3Time now) {
  S3Refusal refusal{403, "RequestTimeTooSkewed",
                    "The difference between the request time and the server's time is too large.",
                    false};
  refusal.details = {
      {"RequestTime", std::string(date)},
      {"ServerTime", s3_extended_time(now)},
      {"MaxAllowedSkewMilliseconds", std::to_string(std::chrono::milliseconds(kS3SkewMax).count())},
  };
  return refusal;
}

}  // namespace

std::string s3_basic_time(S3Time time) { return formatted(time, "%Y%m%dT%H%M%SZ"); }
std::string s3_extended_time(S3Time time) { return formatted(time, "%Y-%m-%dT%H:%M:%SZ"); }
std::string s3_http_time(S3Time time) { return formatted(time, "%a, %d %b %Y %H:%M:%S GMT"); }

std::optional<S3Time> parse_s3_basic_time(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = ::strptime(copy.c_str(), "%Y%m%dT%H%M%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const S3Time time{std::chrono::seconds(::timegm(&parts))};
  // strptime is lenient with the number of digits.
  if (s3_basic_time(time) != text) return std::nullopt;
  return time;
}

std::optional<S3Refusal> check_s3_signature(const S3Request& request, const S3Target& target,
                                            const S3Account& account, S3Time now) {
  const auto header = request.header("authorization");
  if (!header) return S3Refusal{403, "AccessDenied", "The request has no Authorization header."};
  const std::optional<Authorization> authorization = parse_authorization(*header);
  if (!authorization) {
    return S3Refusal{400, "AuthorizationHeaderMalformed",
                     "The Authorization header is not one of " + std::string(kAlgorithm) + "."};
  }
  if (authorization->access_key != account.access_key) {
    return S3Refusal{403,
                     "InvalidAccessKeyId",
                     "The access key is unknown.",
                     false,
                     {{"AWSAccessKeyId", std::string(authorization->access_key)}}};
  }
  const std::string token(request.header("x-amz-security-token").value_or(""));
  if (token != account.session_token) {
    return S3Refusal{400, "InvalidToken", "The session token is missing or wrong.", false};
  }
  if (authorization->region != account.region) {
    return S3Refusal{400,
                     "AuthorizationHeaderMalformed",
                     "The region '" + std::string(authorization->region) +
                         "' is wrong; expecting '" + account.region + "'.",
                     false,
                     {{"Region", account.region}}};
  }

  const std::string_view date = request.header("x-amz-date").value_or("");
  const std::optional<S3Time> time = parse_s3_basic_time(date);
  if (!time)
    return S3Refusal{403, "AccessDenied", "The header x-amz-date is missing or malformed."};
  if (authorization->date != date.substr(0, authorization->date.size()) ||
      authorization->date.size() != 8) {
    return S3Refusal{400, "AuthorizationHeaderMalformed",
                     "The credential's date is not that of x-amz-date."};
  }
  if (std::chrono::abs(*time - now) > kS3SkewMax) return skewed(date, now);

  const std::string_view payload_hash = request.header("x-amz-content-sha256").value_or("");
  const std::string body_hash = to_hex(sha256(request.body));
  if (payload_hash.empty()) {
    return S3Refusal{400, "InvalidRequest", "The header x-amz-content-sha256 is missing."};
  }
  const std::vector<std::string_view> names = split(authorization->signed_headers, ';');
  if (const std::string fault = fault_of_signed_headers(request, names); !fault.empty()) {
    return S3Refusal{403, "AccessDenied", fault};
  }

  const std::string canonical =
      canonical_request(request, target, names, authorization->signed_headers, payload_hash);
  const std::string to_sign = std::string(kAlgorithm) + "\n" + std::string(date) + "\n" +
                              authorization->scope + "\n" + to_hex(sha256(as_bytes(canonical)));
  std::string key = hmac_sha256("AWS4" + account.secret_key, authorization->date);
  for (const std::string_view part :
       {authorization->region, std::string_view("s3"), std::string_view("aws4_request")}) {
    key = hmac_sha256(key, part);
  }
  if (to_hex(as_bytes(hmac_sha256(key, to_sign))) != authorization->signature) {
    return S3Refusal{403,
                     "SignatureDoesNotMatch",
                     "The calculated signature is not the one given. Check the secret key and the "
                     "signing method.",
                     true,
                     {{"StringToSign", to_sign}, {"CanonicalRequest", canonical}}};
  }
  if (payload_hash != body_hash) {
    return S3Refusal{400,
                     "XAmzContentSHA256Mismatch",
                     "The body does not have the hash in x-amz-content-sha256.",
                     true,
                     {{"ClientComputedContentSHA256", std::string(payload_hash)},
                      {"S3ComputedContentSHA256", body_hash}}};
  }
  return std::nullopt;
}

}  // namespace thaw
