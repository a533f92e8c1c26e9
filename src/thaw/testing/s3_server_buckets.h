// SPDX-License-Identifier: Apache-2.0
//
// S3Buckets: the buckets of the fake S3 server and what its operations do to them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "thaw/testing/s3_server_answer.h"
#include "thaw/testing/s3_server_auth.h"

namespace thaw {

/// What a request is about, once its target is read.
struct S3Subject {
  std::string bucket;
  std::string key;
  S3Operation operation = S3Operation::kOther;
};

/// Belongs to one thread.
class S3Buckets {
 public:
  S3Buckets(const std::vector<std::string>& names, std::string region, uint64_t page_keys_max);

  /// Does what a request that was checked asks for; `fate` loses a fault that cannot be committed
  /// on the answer.
  S3Outcome perform(const S3Subject& subject, const S3Request& request, const S3Target& target,
                    S3Fates& fates, S3Fate& fate, S3Time now);

  void set_page_keys_max(uint64_t keys) { page_keys_max_ = keys; }
  /// Null if there is none.
  S3Body object(const std::string& bucket, const std::string& key) const;
  /// Makes the bucket too if need be; no rule about keys.
  void set_object(const std::string& bucket, const std::string& key, Bytes bytes);
  void remove_object(const std::string& bucket, const std::string& key);
  std::vector<std::string> keys(const std::string& bucket) const;

 private:
  struct Object {
    S3Body current;   // null: deleted
    S3Body previous;  // null: there was none
    void set(S3Body body);
  };
  using Bucket = std::map<std::string, Object>;

  S3Outcome put(Bucket& bucket, const std::string& key, const S3Request& request);
  S3Outcome get(Bucket& bucket, const std::string& key, const S3Request& request, S3Fate& fate,
                S3Time now);
  S3Outcome remove_many(Bucket& bucket, const S3Request& request, S3Fates& fates,
                        const S3Fate& fate);
  S3Outcome list(const Bucket& bucket, const std::string& name, const S3Target& target, S3Time now);
  S3Outcome make_bucket(const std::string& name, const S3Request& request);
  /// The body that a lying server sends instead; null if it has none.
  S3Body stale_body(const Bucket& bucket, const std::string& key, const S3Fate& fate) const;

  const std::string region_;
  uint64_t page_keys_max_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace thaw
