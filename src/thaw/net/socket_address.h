// SPDX-License-Identifier: Apache-2.0
//
// Where a TCP server listens, and the look-up of names.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"

namespace thaw {

/// An IPv4 or IPv6 address and a port.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  const sockaddr* get() const;
  int family() const { return storage.ss_family; }
};

/// The address if `host` is one in digits ("127.0.0.1", "::1"); nullopt if it is a name. Never
/// blocks.
std::optional<SocketAddress> numeric_address(const std::string& host, uint16_t port);

/// All addresses of a host, the resolver's first choice first. Blocks for as long as the system's
/// resolver does. kUnavailable if the name has none at present.
Result<std::vector<SocketAddress>> resolve_host(const std::string& host, uint16_t port);

/// Looks names up on a thread of its own, so that a loop never waits for a name server. Callable
/// from any thread. The destructor answers what waits, for which it may wait for name servers.
class Resolver {
 public:
  using Done = std::function<void(Result<std::vector<SocketAddress>>)>;

  Resolver() : pool_(1, kWaitingMax) {}

  /// `done` is called once: at once for an address in digits or if too many wait (kOverloaded),
  /// else on the resolver's thread.
  void resolve(const std::string& host, uint16_t port, Done done);

 private:
  static constexpr size_t kWaitingMax = 4096;
  WorkerPool pool_;
};

}  // namespace thaw
