// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_error.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "thaw/base/name.h"
#include "thaw/s3/s3_answers.h"
#include "thaw/s3/server_time.h"

namespace thaw {
namespace {

/// S3 refuses a signature whose date is further off.
constexpr std::chrono::minutes kSkewMax{15};

template <size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

Verdict retry(std::string message, S3Trouble trouble) {
  return {Verdict::Kind::kRetry, {ErrorCode::kUnavailable, std::move(message)}, trouble};
}

Verdict judge_failure(const HttpAnswer& answer, const S3Circumstance& c) {
  switch (answer.failure) {
    case HttpFailure::kTls:
      return Verdict::fail(
          ErrorCode::kDenied,
          "the TLS certificate of " + c.endpoint + " is not trusted: " + answer.detail +
              (c.ca_file.empty()
                   ? "; set ca_file to the certificate of its authority"
                   : "; check that ca_file " + quote(c.ca_file) + " is its authority"),
          S3Trouble::kDenied);
    case HttpFailure::kTimeout:
      // curl's own words name the milliseconds.
      return retry(answer.detail, S3Trouble::kTimeout);
    case HttpFailure::kStalled:
      return retry("the answer stalled: " + answer.detail, S3Trouble::kTimeout);
    case HttpFailure::kTooLarge:
      return Verdict::bad_answer("the answer is larger than any to this request");
    case HttpFailure::kResolve:
      return retry("the host is unknown: " + answer.detail, S3Trouble::kTransport);
    default:
      return retry(answer.detail, S3Trouble::kTransport);
  }
}

std::string said(const HttpAnswer& answer, const std::optional<S3ErrorAnswer>& error) {
  std::string text = "the server answered " + std::to_string(answer.status);
  if (error) {
    text += " " + quote(error->code);
    if (!error->message.empty()) text += " (" + quote(error->message) + ")";
  }
  const std::string* id = answer.header("x-amz-request-id");
  if (id != nullptr && !id->empty()) text += ", request id " + quote(*id);
  return text;
}

std::optional<WallTime> time_in(const HttpAnswer& answer,
                                const std::optional<S3ErrorAnswer>& error) {
  if (error && !error->server_time.empty()) {
    if (const auto time = parse_server_time(error->server_time)) return time;
  }
  const std::string* date = answer.header("date");
  return date == nullptr ? std::nullopt : parse_server_time(*date);
}

Verdict skewed(const HttpAnswer& answer, const std::optional<S3ErrorAnswer>& error,
               const S3Circumstance& c) {
  std::string text = "this machine's clock and the server's differ";
  if (const std::optional<WallTime> server = time_in(answer, error)) {
    const auto ahead = std::chrono::duration_cast<std::chrono::seconds>(c.now - *server);
    text = "this machine's clock is " + human_duration(ahead) +
           (ahead.count() >= 0 ? " ahead of" : " behind") + " the server's";
  }
  return Verdict::fail(ErrorCode::kDenied,
                       text + ", so signatures are refused; set the clock (NTP) and try again",
                       S3Trouble::kDenied);
}

Verdict denied(const HttpAnswer& answer, const std::optional<S3ErrorAnswer>& error,
               const S3Circumstance& c) {
  const std::string code = error ? error->code : "";
  if (code == "RequestTimeTooSkewed" || code == "RequestExpired") return skewed(answer, error, c);
  if (!error) {
    // A HEAD has no body to say so; the Date header still tells.
    const std::optional<WallTime> server = time_in(answer, error);
    if (server && (c.now - *server > kSkewMax || *server - c.now > kSkewMax)) {
      return skewed(answer, error, c);
    }
  }
  if (code == "QuotaExceeded") {
    return Verdict::fail(ErrorCode::kExhausted, said(answer, error) + "; free room or raise it",
                         S3Trouble::kRefused);
  }
  std::string advice =
      "check that the key's policy allows this; S3 also denies what is missing to a key that may "
      "not list the bucket";
  if (code == "SignatureDoesNotMatch") {
    advice = "check the secret access key, and that nothing on the way changes requests";
  } else if (code == "InvalidAccessKeyId") {
    advice = "check the access key id, and that it belongs to " + c.endpoint;
  } else if (code == "ExpiredToken" || code == "InvalidToken" || code == "TokenRefreshRequired") {
    advice = "the session token is no longer good; get new credentials";
  }
  return Verdict::fail(ErrorCode::kDenied, said(answer, error) + "; " + advice, S3Trouble::kDenied);
}

Verdict elsewhere(const HttpAnswer& answer, const std::optional<S3ErrorAnswer>& error,
                  const std::string& region, const S3Circumstance& c) {
  const std::string advice =
      region.empty() ? "check the endpoint and the region"
                     : "the bucket is in region " + quote(region) + "; set region to it";
  return Verdict::fail(ErrorCode::kInvalid,
                       said(answer, error) + ": bucket " + quote(c.bucket) +
                           " is not to be had at " + c.endpoint + " in region " + quote(c.region) +
                           "; " + advice,
                       S3Trouble::kRefused);
}

/// What S3 says of a request that was damaged or held up on its way.
constexpr std::array<std::string_view, 4> kDamagedOnTheWay = {
    "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout"};
constexpr std::array<std::string_view, 3> kTokenCodes = {"ExpiredToken", "InvalidToken",
                                                         "TokenRefreshRequired"};
constexpr std::array<std::string_view, 2> kConflictCodes = {"ConditionalRequestConflict",
                                                            "OperationAborted"};

Verdict judge_status(const HttpAnswer& answer, const std::optional<S3ErrorAnswer>& error,
                     const S3Circumstance& c) {
  const std::string code = error ? error->code : "";
  // Without a body only a HEAD can be an answer of S3.
  const bool of_s3 = error.has_value() || c.method == HttpMethod::kHead;
  const std::string* region_header = answer.header("x-amz-bucket-region");
  const std::string region = region_header != nullptr ? *region_header : error ? error->region : "";
  const bool other_region = !region.empty() && region != c.region;
  const auto refused = [&](ErrorCode error_code, const std::string& advice) {
    return Verdict::fail(error_code, said(answer, error) + advice, S3Trouble::kRefused);
  };

  switch (answer.status) {
    case 301:
    case 302:
    case 307:
    case 308:
      return elsewhere(answer, error, region, c);
    case 401:
    case 403:
      return denied(answer, error, c);
    case 404:
      if (code == "NoSuchBucket") {
        return refused(ErrorCode::kInvalid, ": bucket " + quote(c.bucket) + " does not exist at " +
                                                c.endpoint + "; create it or check the name");
      }
      if (of_s3) return refused(ErrorCode::kNotFound, "");
      break;
    case 400:
      if (other_region) return elsewhere(answer, error, region, c);
      if (one_of(code, kTokenCodes)) return denied(answer, error, c);
      if (one_of(code, kDamagedOnTheWay)) return retry(said(answer, error), S3Trouble::kTransport);
      break;
    case 405:
    case 501:
      if (of_s3) return refused(ErrorCode::kUnsupported, "; the endpoint cannot do this");
      break;
    case 408:
      return retry(said(answer, error), S3Trouble::kTimeout);
    case 409:
      if (one_of(code, kConflictCodes)) return retry(said(answer, error), S3Trouble::kServer);
      break;
    case 416:
      return Verdict::fail(ErrorCode::kCorrupt,
                           said(answer, error) + ": the object ends before the wanted bytes",
                           S3Trouble::kCorrupt);
    case 429:
    case 503:
      return retry(said(answer, error) + "; it asks for fewer requests", S3Trouble::kThrottle);
    case 507:
      return refused(ErrorCode::kExhausted, "; its storage is full");
    default:
      break;
  }
  if (answer.status >= 500) return retry(said(answer, error), S3Trouble::kServer);
  if (answer.status >= 400 && of_s3) return refused(ErrorCode::kInvalid, "");
  return Verdict::bad_answer(said(answer, error) + ", which S3 would not");
}

}  // namespace

Verdict judge_answer(const HttpAnswer& answer, const S3Circumstance& circumstance) {
  if (answer.failure != HttpFailure::kNone) return judge_failure(answer, circumstance);
  return judge_status(answer, parse_error_answer(answer.body), circumstance);
}

}  // namespace thaw
