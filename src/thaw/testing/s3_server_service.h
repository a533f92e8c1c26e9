// SPDX-License-Identifier: Apache-2.0
//
// S3Service: the buckets of the fake S3 server and what its operations do to them; no sockets. A
// whole request goes in, a whole answer comes out, with the fault that the transport has to commit
// on it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/testing/s3_server_auth.h"
#include "thaw/testing/s3_server_chaos.h"
#include "thaw/testing/s3_server_request.h"

namespace thaw {

struct S3Content {
  explicit S3Content(Bytes content);
  Bytes bytes;
  std::string etag;  // the MD5 in quotes
};
/// Immutable, and shared between the bucket, its history and the answers under way.
using S3Body = std::shared_ptr<const S3Content>;

struct S3Answer {
  unsigned status = 200;
  S3Pairs headers = {};
  S3Body body = {};  // null: empty
  uint64_t offset = 0;
  uint64_t bytes = 0;  // of the body from `offset`
  S3Operation operation = S3Operation::kOther;
  S3Fate fate = {};
  uint64_t number = 0;
};

struct S3Counts {
  std::array<uint64_t, kS3Operations> requests{};  // by S3Operation
  std::array<uint64_t, kS3Faults> faults{};        // by S3Fault, as far as they happened
  std::map<unsigned, uint64_t> statuses;           // of the answers that were begun
  uint64_t connections = 0;
  uint64_t bytes_in = 0;   // of bodies
  uint64_t bytes_out = 0;  // of bodies, handed to the connection
  uint64_t in_flight = 0;
  uint64_t in_flight_max = 0;
  uint64_t of(S3Operation operation) const { return requests[static_cast<size_t>(operation)]; }
  uint64_t of(S3Fault fault) const { return faults[static_cast<size_t>(fault)]; }
  uint64_t total() const;
};

struct S3ServerOptions {
  std::string bind = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  S3Account account = {};
  /// There from the beginning. "thaw-test" is reached at http://HOST/thaw-test/key and, with the
  /// Host header "thaw-test.<domain>", at /key.
  std::vector<std::string> buckets = {"thaw-test"};
  std::string domain = "localhost";
  /// The most keys of one page of a listing, whatever is asked for.
  uint64_t page_keys_max = 1000;
  /// PEM texts; with both, https.
  std::string certificate_pem = {};
  std::string key_pem = {};
};

/// Belongs to one thread.
class S3Service {
 public:
  explicit S3Service(const S3ServerOptions& options);

  /// Checks, decides and does. Reasons of violations go to violations().
  S3Answer handle(const S3Request& request, S3Time now);

  S3Fates& fates() { return *fates_; }
  void set_chaos(S3Chaos plan) { fates_ = std::make_unique<S3Fates>(std::move(plan)); }
  void set_page_keys_max(uint64_t keys) { page_keys_max_ = keys; }

  S3Body object(const std::string& bucket, const std::string& key) const;
  /// Makes the bucket too if need be; no rule about keys.
  void set_object(const std::string& bucket, const std::string& key, Bytes bytes);
  void remove_object(const std::string& bucket, const std::string& key);
  std::vector<std::string> keys(const std::string& bucket) const;

  S3Counts& counts() { return counts_; }
  const std::map<std::string, uint64_t>& gets() const { return gets_; }
  const std::vector<std::string>& violations() const { return violations_; }
  void forget();  // counts, gets and violations

 private:
  struct Object {
    S3Body current;   // null: deleted
    S3Body previous;  // null: there was none
    void set(S3Body body);
  };
  using Bucket = std::map<std::string, Object>;
  /// What a request is about, once its target is read.
  struct Subject {
    std::string bucket;
    std::string key;
    S3Operation operation = S3Operation::kOther;
  };
  using Outcome = tl::expected<S3Answer, S3Refusal>;

  static std::optional<S3Refusal> check_headers(const S3Request& request);
  tl::expected<Subject, S3Refusal> subject_of(const S3Request& request,
                                              const S3Target& target) const;
  static std::optional<S3Refusal> check_query(S3Operation operation, const S3Target& target);
  std::optional<S3Refusal> check_signature_and_query(const S3Request& request,
                                                     const S3Target& target, const Subject& subject,
                                                     S3Time now);
  std::optional<S3Refusal> planned_refusal(const S3Fate& fate) const;
  static S3Answer garbage(S3Operation operation, const S3Fate& fate);

  Outcome perform(const Subject& subject, const S3Request& request, const S3Target& target,
                  S3Fate& fate, S3Time now);
  Outcome put(Bucket& bucket, const std::string& key, const S3Request& request);
  Outcome get(Bucket& bucket, const std::string& key, const S3Request& request, S3Fate& fate,
              S3Time now);
  Outcome remove_many(Bucket& bucket, const S3Request& request, const S3Fate& fate);
  Outcome list(const Bucket& bucket, const std::string& name, const S3Target& target, S3Time now);
  Outcome make_bucket(const std::string& name, const S3Request& request);
  /// The body that a lying server sends instead; null if it has none.
  S3Body stale_body(const Bucket& bucket, const std::string& key, const S3Fate& fate) const;

  S3Answer error_answer(const S3Refusal& refusal, const S3Request& request);

  const S3ServerOptions options_;
  uint64_t page_keys_max_;
  std::unique_ptr<S3Fates> fates_ = std::make_unique<S3Fates>(S3Chaos{});
  std::map<std::string, Bucket> buckets_;
  S3Counts counts_;
  std::map<std::string, uint64_t> gets_;
  std::vector<std::string> violations_;
  uint64_t numbers_ = 0;
};

}  // namespace thaw
