// SPDX-License-Identifier: Apache-2.0
//
// Where objects are: the text "s3://bucket/prefix" of configurations, and the host and paths that
// requests for a bucket go to.
#pragma once

#include <string>
#include <string_view>

#include "thaw/base/result.h"
#include "thaw/s3/s3_options.h"

namespace thaw {

struct S3Address {
  std::string bucket;
  std::string prefix;  // without a final '/', perhaps empty

  /// "s3://bucket" or "s3://bucket/a/b"; a final '/' is dropped. kInvalid otherwise.
  static Result<S3Address> parse(std::string_view text);
};

/// kInvalid unless S3 takes it as a bucket's name.
Result<void> validate_bucket(std::string_view bucket);

/// Immutable.
class S3Endpoint {
 public:
  /// From validated options.
  static Result<S3Endpoint> create(const S3Options& options);

  /// "https://host:port", as configured: for messages.
  const std::string& base() const { return base_; }
  /// The value of the Host header; the port only if it is not the scheme's own.
  const std::string& host() const { return host_; }
  /// The encoded path of an object: of `key` as it is in the bucket, not yet encoded. The empty key
  /// is the bucket itself.
  std::string path_of(std::string_view key) const;
  /// "https://host/path?query" of an encoded path and query.
  std::string url(std::string_view path, std::string_view query) const;

 private:
  std::string base_;
  std::string scheme_;
  std::string host_;
  std::string path_prefix_;  // "/" or "/bucket"
};

}  // namespace thaw
