// SPDX-License-Identifier: Apache-2.0
//
// S3Server: a strict S3 server inside a test, on loopback. It checks the signature of every request
// with code of its own, refuses what S3 would let pass, keeps the objects in memory where the test
// can reach them, and goes wrong as a seeded plan says:
//   ASSIGN_OR_RETURN(auto server, S3Server::start());
//   server->set_chaos({.seed = 7, .error_rate = 0.1, .truncate_rate = 0.1});
//   SCOPED_TRACE(server->describe());
//   ...
//   EXPECT_THAT(server->violations(), testing::IsEmpty());
// Operations: PUT (If-None-Match: *), GET (Range), HEAD, DELETE of objects, POST ?delete, GET
// ?list-type=2, PUT and HEAD of buckets, addressed by path or by virtual host.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/testing/s3_server_service.h"

namespace thaw {

/// Callable from many threads. Requests are answered by one thread of the server; hundreds may wait
/// for their delays at once.
class S3Server {
 public:
  /// Bodies above this are refused (413).
  static constexpr uint64_t kBodyBytesMax = 64 << 20;
  static constexpr unsigned kConnectionsMax = 4096;

  /// kUnavailable if it cannot listen, kInvalid for a certificate that cannot be used.
  static Result<std::unique_ptr<S3Server>> start(S3ServerOptions options = {});
  /// Ends what is under way: connections are closed, delayed answers are dropped.
  ~S3Server();
  S3Server(const S3Server&) = delete;
  S3Server& operator=(const S3Server&) = delete;

  uint16_t port() const;
  /// "http://127.0.0.1:PORT" or "https://...".
  std::string endpoint() const;
  const S3ServerOptions& options() const;
  /// The endpoint and the plan with its seed.
  std::string describe() const;

  /// Replaces the plan; numbers begin at 0 again and answers that were held go out. `{}` heals.
  void set_chaos(S3Chaos plan);
  /// The server's clock is the machine's plus this.
  void set_clock_offset(std::chrono::seconds offset);
  void set_page_keys_max(uint64_t keys);

  S3Counts counts() const;
  /// GETs of the key, answered in whatever way, in all buckets; how many keys were asked for.
  uint64_t gets_of(const std::string& key) const;
  uint64_t distinct_gets() const;
  /// What no correct client sends, each with its request; at most 1000. Asserted empty by tests.
  std::vector<std::string> violations() const;
  /// Counts, GETs and violations begin anew.
  void forget();
  /// Waits until that many requests are under way (or `limit` has passed: false).
  bool wait_for_in_flight(uint64_t requests,
                          std::chrono::milliseconds limit = std::chrono::seconds(60)) const;

  /// Around the protocol, for oracles: the object as it is stored, nullopt if there is none.
  std::optional<Bytes> object(const std::string& bucket, const std::string& key) const;
  /// Any key, valid or not; makes the bucket too. A former version is kept for stale answers.
  void set_object(const std::string& bucket, const std::string& key, Bytes bytes);
  void remove_object(const std::string& bucket, const std::string& key);
  std::vector<std::string> keys(const std::string& bucket) const;

 private:
  class Transport;
  explicit S3Server(std::unique_ptr<Transport> transport);

  std::unique_ptr<Transport> transport_;
};

}  // namespace thaw
