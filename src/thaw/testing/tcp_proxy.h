// SPDX-License-Identifier: Apache-2.0
//
// TcpProxy: stands in front of a server on loopback and makes it slow, silent, absent or lying,
// while both sides run:
//   ASSIGN_OR_RETURN(auto proxy, TcpProxy::start(memcached.port()));
//   client.connect(proxy->port());
//   proxy->set_plan({.seed = 7, .to_client = {.delay = 20ms, .flip_every_bytes = 100'000}});
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/testing/tcp_proxy_flow.h"

namespace thaw {

struct TcpProxyPlan {
  uint64_t seed = 1;
  TcpFault to_client = {};
  TcpFault to_server = {};
  /// Connections are accepted and stay open, and no byte moves. What waits goes on when it is over.
  bool blackhole = false;
  /// Connections are reset and new ones refused.
  bool cut = false;

  /// One line that has the seed and what is not at its default.
  std::string describe() const;
};

struct TcpProxyCounts {
  uint64_t connections = 0;  // accepted
  uint64_t open = 0;
  uint64_t open_max = 0;
  uint64_t refused_full = 0;  // reset, because kConnectionsMax were open
  uint64_t resets = 0;        // by the plan
  uint64_t flips = 0;
  uint64_t bytes_to_client = 0;
  uint64_t bytes_to_server = 0;
};

/// Callable from many threads; one thread of the proxy does the work. A change holds for every byte
/// that the proxy has not read when the call returns.
class TcpProxy {
 public:
  static constexpr size_t kConnectionsMax = 1024;

  /// Listens at a free port of 127.0.0.1, for a server at a port of it.
  static Result<std::unique_ptr<TcpProxy>> start(uint16_t server_port, TcpProxyPlan plan = {});
  /// Resets what is open.
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  uint16_t port() const;
  /// "127.0.0.1:PORT".
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  /// The ports and the plan with its seed.
  std::string describe() const;

  /// Replaces the plan; `{}` heals. Positions of flips and resets count anew.
  void set_plan(const TcpProxyPlan& plan);
  /// From now on another server, for new connections.
  void set_server_port(uint16_t port);
  /// Resets what is open now and nothing else.
  void reset_connections();
  TcpProxyCounts counts() const;

 private:
  class Loop;
  explicit TcpProxy(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace thaw
