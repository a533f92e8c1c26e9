// SPDX-License-Identifier: Apache-2.0
//
// AWS Signature Version 4, the Authorization header kind (AWS, "Signing AWS API requests" and
// "Authenticating Requests: Using the Authorization Header"). curl's own signer signs headers it
// then suppresses and leaves queries unsorted, which strict servers refuse.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/s3/credentials.h"
#include "thaw/s3/http_message.h"

namespace thaw {

using WallTime = std::chrono::system_clock::time_point;

/// A query's names and values, not yet encoded.
using QueryParts = std::vector<std::pair<std::string, std::string>>;

/// Encoded, sorted by encoded name, then value; "name=" for an empty value. It is both what is
/// signed and what is sent.
std::string canonical_query(const QueryParts& parts);

/// SHA-256 in hexadecimal, as x-amz-content-sha256 wants it.
std::string payload_digest(ByteSpan payload);

/// What is signed. Borrows.
struct SignedRequest {
  std::string_view method;
  std::string_view path;   // encoded
  std::string_view query;  // canonical_query()
  /// All are signed. Names in lower case; the host must be among them.
  std::span<const HttpHeader> headers;
  std::string_view payload_digest;
};

/// The canonical request. Headers are sorted; their values are trimmed, runs of spaces inside
/// become one.
std::string canonical_request(const SignedRequest& request);

/// Signs for one region and service. Keeps the derived key of the day. Belongs to one thread.
class SigV4Signer {
 public:
  SigV4Signer(S3Credentials credentials, std::string region, std::string service);

  /// The value of the Authorization header. x-amz-date has to be among the headers and to be
  /// amz_date(time). A few microseconds.
  std::string authorization(const SignedRequest& request, WallTime time);

  /// Adds x-amz-date, x-amz-content-sha256, x-amz-security-token if there is a token, and
  /// authorization to `headers`, which has to hold the host. Every header there is signed.
  void sign(HttpMethod method, std::string_view path, std::string_view query,
            std::string_view digest, WallTime time, std::vector<HttpHeader>& headers);

 private:
  const SecretBytes& key_of(const std::string& day);

  const S3Credentials credentials_;
  const std::string region_;
  const std::string service_;
  std::string key_day_;
  SecretBytes key_;
};

/// "20130524T000000Z".
std::string amz_date(WallTime time);

}  // namespace thaw
