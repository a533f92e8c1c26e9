// SPDX-License-Identifier: Apache-2.0
//
// The fake S3 server's check of AWS signature version 4, written from "Authenticating Requests:
// Using the Authorization Header" (Amazon S3 API Reference) for received bytes. It shares no code
// with the product's signer.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "thaw/testing/s3_server_request.h"

namespace thaw {

struct S3Account {
  std::string access_key = "thaw-access-key";
  std::string secret_key = "thaw/secret+key";
  std::string session_token = {};  // asked for if not empty
  std::string region = "us-east-1";
};

/// How far a request's date may be from the server's clock.
inline constexpr std::chrono::seconds kS3SkewMax{900};

/// Seconds since the epoch, the server's clock.
using S3Time = std::chrono::sys_seconds;
/// "20130524T000000Z".
std::string s3_basic_time(S3Time time);
std::optional<S3Time> parse_s3_basic_time(std::string_view text);
/// "2013-05-24T00:00:00Z".
std::string s3_extended_time(S3Time time);
/// "Fri, 24 May 2013 00:00:00 GMT".
std::string s3_http_time(S3Time time);

/// nullopt if the request is signed as it was received: the canonical request is built from
/// `target` and the received headers, host and each x-amz-* header are signed, the body has the
/// hash that was signed, the date is near `now`. Stricter than S3: an unsigned payload is refused.
std::optional<S3Refusal> check_s3_signature(const S3Request& request, const S3Target& target,
                                            const S3Account& account, S3Time now);

}  // namespace thaw
