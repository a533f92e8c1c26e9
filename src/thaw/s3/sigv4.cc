// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/sigv4.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "thaw/base/check.h"
#include "thaw/crypto/digest.h"
#include "thaw/crypto/key_derivation.h"
#include "thaw/s3/uri_encoding.h"

namespace thaw {
namespace {

constexpr size_t kDayDigits = 8;
constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string folded(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool space = c == ' ' || c == '\t';
    if (!space) out += c;
    if (space && !out.empty() && out.back() != ' ') out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::vector<HttpHeader> sorted(std::span<const HttpHeader> headers) {
  std::vector<HttpHeader> ordered(headers.begin(), headers.end());
  std::sort(ordered.begin(), ordered.end(),
            [](const HttpHeader& a, const HttpHeader& b) { return a.name < b.name; });
  return ordered;
}

std::string signed_names(std::span<const HttpHeader> headers) {
  std::string names;
  for (const HttpHeader& header : sorted(headers)) {
    if (!names.empty()) names += ';';
    names += header.name;
  }
  return names;
}

/// HMAC whose result is a key again.
SecretBytes derive(ByteSpan key, std::string_view message) {
  Digest digest = Hmac(key).of(as_bytes(message));
  SecretBytes derived = SecretBytes::copy_of(digest);
  wipe(digest);
  return derived;
}

}  // namespace

std::string canonical_query(const QueryParts& parts) {
  QueryParts encoded;
  for (const auto& [name, value] : parts) encoded.emplace_back(uri_encode(name), uri_encode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string query;
  for (const auto& [name, value] : encoded) {
    if (!query.empty()) query += '&';
    query += name;
    query += '=';
    query += value;
  }
  return query;
}

std::string payload_digest(ByteSpan payload) { return to_hex(sha256(payload)); }

std::string canonical_request(const SignedRequest& request) {
  std::string text(request.method);
  text.append("\n").append(request.path).append("\n").append(request.query).append("\n");
  for (const HttpHeader& header : sorted(request.headers)) {
    text.append(header.name).append(":").append(folded(header.value)).append("\n");
  }
  text.append("\n").append(signed_names(request.headers));
  text.append("\n").append(request.payload_digest);
  return text;
}

std::string amz_date(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  CHECK(::gmtime_r(&seconds, &parts) != nullptr);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  CHECK(length > kDayDigits);
  return {text, length};
}

SigV4Signer::SigV4Signer(S3Credentials credentials, std::string region, std::string service)
    : credentials_(std::move(credentials)),
      region_(std::move(region)),
      service_(std::move(service)) {}

const SecretBytes& SigV4Signer::key_of(const std::string& day) {
  if (key_day_ != day) {
    constexpr std::string_view kPrefix = "AWS4";
    SecretBytes key(kPrefix.size() + credentials_.secret_access_key.size());
    std::memcpy(key.data(), kPrefix.data(), kPrefix.size());
    std::memcpy(key.data() + kPrefix.size(), credentials_.secret_access_key.data(),
                credentials_.secret_access_key.size());
    for (const std::string_view part :
         {std::string_view(day), std::string_view(region_), std::string_view(service_),
          std::string_view("aws4_request")}) {
      key = derive(key.span(), part);
    }
    key_ = std::move(key);
    key_day_ = day;
  }
  return key_;
}

std::string SigV4Signer::authorization(const SignedRequest& request, WallTime time) {
  const std::string date = amz_date(time);
  const std::string day = date.substr(0, kDayDigits);
  const std::string scope = day + "/" + region_ + "/" + service_ + "/aws4_request";
  const std::string to_sign = std::string(kAlgorithm) + "\n" + date + "\n" + scope + "\n" +
                              payload_digest(as_bytes(canonical_request(request)));
  const std::string signature = to_hex(Hmac(key_of(day).span()).of(as_bytes(to_sign)));
  return std::string(kAlgorithm) + " Credential=" + credentials_.access_key_id + "/" + scope +
         ",SignedHeaders=" + signed_names(request.headers) + ",Signature=" + signature;
}

void SigV4Signer::sign(HttpMethod method, std::string_view path, std::string_view query,
                       std::string_view digest, WallTime time, std::vector<HttpHeader>& headers) {
  headers.push_back({"x-amz-date", amz_date(time)});
  headers.push_back({"x-amz-content-sha256", std::string(digest)});
  if (!credentials_.session_token.empty()) {
    headers.push_back(
        {"x-amz-security-token", std::string(as_text(credentials_.session_token.span()))});
  }
  const SignedRequest request{to_string(method), path, query, headers, digest};
  std::string value = authorization(request, time);
  headers.push_back({"authorization", std::move(value)});
}

}  // namespace thaw
