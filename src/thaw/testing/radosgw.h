// SPDX-License-Identifier: Apache-2.0
//
// Radosgw: a real S3 service for tests, the Ceph object gateway with one monitor and one object
// store in memory, all on loopback and in a temporary directory. It runs without authentication
// between its own daemons; S3 requests are signed and checked.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "thaw/base/result.h"
#include "thaw/testing/child_process.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {

/// Belongs to one thread, which has to live as long (see child_process.h); the service itself takes
/// requests of everybody. A start takes 1 to 3 seconds and 160 MiB.
class Radosgw {
 public:
  /// Empty if it can run here; otherwise what is missing and how to get it.
  static std::string unavailable();

  /// kUnsupported with unavailable()'s reason; kUnavailable with the logs' ends if a daemon fails.
  static Result<std::unique_ptr<Radosgw>> start();
  /// Ends the daemons and removes their directory.
  ~Radosgw() = default;

  /// "http://127.0.0.1:PORT"; buckets by path, or by the host BUCKET.localhost.
  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }
  const std::string& access_key() const { return access_key_; }
  const std::string& secret_key() const { return secret_key_; }
  /// The gateway takes any region.
  std::string region() const { return "us-east-1"; }
  /// A bucket that is there from the beginning.
  std::string bucket() const { return "thaw-test"; }
  Result<void> create_bucket(const std::string& name) const;

  /// The process that speaks S3, to be stopped, killed, continued.
  ChildProcess& gateway() { return *gateway_; }
  /// Starts the gateway again, at the same port and over the same objects.
  Result<void> restart_gateway();
  /// The end of each daemon's log.
  std::string logs() const;

 private:
  Radosgw() = default;
  Result<void> write_config();
  Result<void> start_monitor();
  Result<void> start_object_store();
  Result<void> start_gateway();
  Result<void> create_user();
  Result<std::unique_ptr<ChildProcess>> start_daemon(const std::string& name,
                                                     std::vector<std::string> argv);

  TempDir directory_;
  uint16_t monitor_port_ = 0;
  uint16_t port_ = 0;
  std::string cluster_id_;
  std::string access_key_ = "THAWTESTACCESSKEY";
  std::string secret_key_ = "thaw/test+secret/key";
  // In the order of their start, so that they end in the other.
  std::unique_ptr<ChildProcess> monitor_;
  std::unique_ptr<ChildProcess> object_store_;
  std::unique_ptr<ChildProcess> gateway_;
};

/// One gateway for all tests of a program, started by the first that asks and ended with the last:
///   const auto* const kGateway = static_cast<RadosgwEnvironment*>(
///       testing::AddGlobalTestEnvironment(new RadosgwEnvironment));
///   if (!Radosgw::unavailable().empty()) GTEST_SKIP() << Radosgw::unavailable();
///   Result<Radosgw*> gateway = kGateway->get();
class RadosgwEnvironment : public testing::Environment {
 public:
  void TearDown() override { gateway_.reset(); }
  /// The same for every caller; a failed start is not tried again.
  Result<Radosgw*> get();

 private:
  std::optional<Result<std::unique_ptr<Radosgw>>> gateway_;
};

}  // namespace thaw
