// SPDX-License-Identifier: Apache-2.0
//
// MemcachedProcess: a stock memcached on loopback for tests and the lab, to be stopped, killed,
// frozen and started again at its port.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/sys/child_process.h"

namespace thaw {

struct MemcachedOptions {
  unsigned memory_mib = 64;
  unsigned threads = 2;
  unsigned connections_max = 1024;
  uint16_t port = 0;  // 0: any free one
  /// The largest item: memcached's own limit is 1 MiB with its overhead.
  unsigned item_mib_max = 2;
  /// With both, the port speaks TLS only.
  std::string certificate_file = {};
  std::string key_file = {};
  /// More arguments, as {"-o", "ext_path=/tmp/file:64m"}.
  std::vector<std::string> arguments = {};
};

/// Belongs to one thread, which has to live as long (see child_process.h). Logs go to a temporary
/// directory.
class MemcachedProcess {
 public:
  /// Empty if it can run here; otherwise what is missing and how to get it.
  static std::string unavailable();

  /// Returns when it accepts connections. kUnsupported with unavailable()'s reason; kUnavailable
  /// with its log if it does not start.
  static Result<std::unique_ptr<MemcachedProcess>> start(MemcachedOptions options = {});
  ~MemcachedProcess();
  MemcachedProcess(const MemcachedProcess&) = delete;
  MemcachedProcess& operator=(const MemcachedProcess&) = delete;

  uint16_t port() const { return port_; }
  /// "127.0.0.1:PORT".
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  pid_t pid() const { return child_->pid(); }
  bool running() { return child_->running(); }

  /// Connections stay open and are accepted by the kernel, and nothing answers.
  void freeze();
  void thaw();
  /// SIGKILL: connections are reset, the port refuses.
  void kill() { child_->kill(); }
  /// SIGTERM, then SIGKILL.
  void stop() { child_->stop(); }
  /// Ends it if it runs, and starts it again, empty, at the same port.
  Result<void> restart();
  std::string log() const;

 private:
  explicit MemcachedProcess(MemcachedOptions options) : options_(std::move(options)) {}
  Result<void> launch();

  std::string file(const char* name) const { return directory_ + "/" + name; }

  MemcachedOptions options_;
  std::string directory_;  // of its port and its log
  uint16_t port_ = 0;
  std::unique_ptr<ChildProcess> child_;
};

}  // namespace thaw
