// SPDX-License-Identifier: Apache-2.0
//
// S3Service: the fake S3 server without sockets. A whole request goes in; it is checked, and
// planned faults are dealt out; a whole answer comes out, with the fault that the transport has to
// commit on it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/testing/s3_server_answer.h"
#include "thaw/testing/s3_server_auth.h"
#include "thaw/testing/s3_server_buckets.h"
#include "thaw/testing/s3_server_chaos.h"
#include "thaw/testing/s3_server_request.h"

namespace thaw {

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

  S3Buckets& buckets() { return buckets_; }
  const S3Buckets& buckets() const { return buckets_; }

  S3Counts& counts() { return counts_; }
  const std::map<std::string, uint64_t>& gets() const { return gets_; }
  const std::vector<std::string>& violations() const { return violations_; }
  void forget();  // counts, gets and violations

 private:
  static std::optional<S3Refusal> check_headers(const S3Request& request);
  tl::expected<S3Subject, S3Refusal> subject_of(const S3Request& request,
                                                const S3Target& target) const;
  static std::optional<S3Refusal> check_query(S3Operation operation, const S3Target& target);
  std::optional<S3Refusal> check_signature_and_query(const S3Request& request,
                                                     const S3Target& target,
                                                     const S3Subject& subject, S3Time now);
  std::optional<S3Refusal> planned_refusal(const S3Fate& fate) const;
  static S3Answer garbage(S3Operation operation, const S3Fate& fate);

  S3Answer error_answer(const S3Refusal& refusal, const S3Request& request);

  const S3ServerOptions options_;
  std::unique_ptr<S3Fates> fates_ = std::make_unique<S3Fates>(S3Chaos{});
  S3Buckets buckets_;
  S3Counts counts_;
  std::map<std::string, uint64_t> gets_;
  std::vector<std::string> violations_;
  uint64_t numbers_ = 0;
};

}  // namespace thaw
