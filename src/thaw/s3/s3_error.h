// SPDX-License-Identifier: Apache-2.0
//
// What an answer that is no success means: which error it is for the caller, whether another
// attempt may help, and what a person should do.
#pragma once

#include <string>

#include "thaw/base/result.h"
#include "thaw/s3/http_message.h"
#include "thaw/s3/sigv4.h"

namespace thaw {

/// For the counters.
enum class S3Trouble {
  kNone,
  kTransport,  // no connection, a connection lost, no such host
  kTimeout,    // an attempt's time was up, or nothing came for too long
  kServer,     // 5xx
  kThrottle,   // 503 and 429
  kDenied,
  kCorrupt,
  kBadAnswer,  // not an answer to what was asked
  kRefused,    // anything else that another attempt would not change
};

struct Verdict {
  enum class Kind { kOk, kFail, kRetry };
  Kind kind = Kind::kOk;
  Error error{ErrorCode::kUnavailable, ""};  // unless kOk
  S3Trouble trouble = S3Trouble::kNone;

  static Verdict ok() { return {}; }
  static Verdict fail(ErrorCode code, std::string message, S3Trouble trouble) {
    return {Kind::kFail, {code, std::move(message)}, trouble};
  }
  /// Not an answer to what was asked: a broken server or proxy. Another attempt may meet a better
  /// one.
  static Verdict bad_answer(std::string message) {
    return {Kind::kRetry, {ErrorCode::kUnavailable, std::move(message)}, S3Trouble::kBadAnswer};
  }
};

/// What a verdict depends on besides the answer.
struct S3Circumstance {
  HttpMethod method = HttpMethod::kGet;
  const std::string& bucket;
  const std::string& endpoint;
  const std::string& region;
  const std::string& ca_file;
  WallTime now;  // by the clock that signed
};

/// Judges an answer that is not the success the request is about. Never kOk. Credentials do not
/// appear in its text; what the server says is quoted.
Verdict judge_answer(const HttpAnswer& answer, const S3Circumstance& circumstance);

}  // namespace thaw
