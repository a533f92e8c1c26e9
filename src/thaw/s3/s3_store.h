// SPDX-License-Identifier: Apache-2.0
//
// S3Store: an ObjectStore in a bucket of any S3-compatible service (SigV4, If-None-Match on PUT,
// ListObjectsV2). S3Options says where and how patient, s3_caller.h how a call becomes requests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thaw/s3/credentials.h"
#include "thaw/s3/s3_caller.h"
#include "thaw/s3/s3_options.h"
#include "thaw/store/object_store.h"

namespace thaw {

/// Callable from many threads. Errors, beyond those of ObjectStore: kDenied says what to check
/// (key, policy, clock, certificate), kInvalid that the bucket is missing or elsewhere,
/// kUnavailable the last cause and the number of attempts, kOverloaded that calls_max are under
/// way.
///
/// A PUT whose answer is lost may have taken effect, and its repetition then meets its own object.
/// put_if_absent() reads it back in that case: the same bytes count as kCreated. So two writers of
/// the same bytes may both be told kCreated; of different bytes exactly one is.
///
/// Blocking members take at most request_deadline_ms a request (an object, a page of a listing).
/// They must not be called where `done` of a start_get() runs. What `out` holds after an error is
/// undefined. The destructor ends what is under way with kInterrupted.
class S3Store final : public ObjectStore {
 public:
  using Counters = S3Counters;

  /// Makes no request. kInvalid if the options are.
  static Result<std::unique_ptr<S3Store>> create(const S3Options& options,
                                                 S3Credentials credentials);

  /// One cheap request: kInvalid if the bucket is missing or elsewhere, kDenied if the key, its
  /// policy or the clock does not do.
  Result<void> check() const;
  /// Succeeds if the bucket is there and ours already.
  Result<void> create_bucket();
  const Counters& counters() const { return caller_->counters(); }

  std::string describe() const override;
  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override;
  Result<void> replace(const std::string& key, ByteSpan data) override;
  Result<Bytes> get(const std::string& key, uint64_t bytes_max) const override;
  Result<void> get_into(const std::string& key, MutableByteSpan out) const override;
  Result<void> get_range(const std::string& key, uint64_t offset,
                         MutableByteSpan out) const override;
  void start_get(const std::string& key, MutableByteSpan out, Deadline deadline,
                 GetDone done) const override;
  Result<bool> exists(const std::string& key) const override;
  Result<void> remove(const std::string& key) override;
  Result<void> remove_all(std::span<const std::string> keys) override;
  Result<void> list(const std::string& prefix, const Visit& visit) const override;

 private:
  S3Store(const S3Options& options, S3Endpoint endpoint, S3Credentials credentials);

  /// A call about `key` (of the store) that does `verb`: "get", "put".
  S3Call call_of(HttpMethod method, const char* verb, const std::string& key) const;
  S3Call bucket_call(HttpMethod method, const char* verb) const;
  S3Call read_call(const std::string& key, MutableByteSpan out, Deadline deadline) const;
  Deadline default_deadline() const;
  /// Starts the call and waits for its end.
  Result<void> wait_for(S3Call call) const;
  /// The object's size by HEAD; kNotFound.
  Result<uint64_t> size_of(const std::string& key) const;
  /// One POST ?delete of keys of the bucket, at most 1000; those that are left because the server
  /// could not right now, fewer than there were.
  Result<std::vector<std::string>> remove_group(const std::vector<std::string>& group);
  std::string bucket_key(const std::string& key) const;

  const S3Options options_;
  /// An answer has shown that the bucket is there: a missing key is then just that.
  mutable std::atomic<bool> bucket_seen_{false};
  std::unique_ptr<S3Caller> caller_;
};

}  // namespace thaw
