// SPDX-License-Identifier: Apache-2.0
//
// LoopbackZone: a zone of stock memcached servers on the loopback, for the lab and benchmarks. Each
// answers as slowly as a zone's does (base/latency_shape.h).
//
//   ASSIGN_OR_RETURN(const auto zone, LoopbackZone::start(5, {.threads = 1}));
//   tiers.zone = zone->options(seed);
//   ...
//   TRY(wait_until_up(*stack->zone_client(), zone->nodes()));
#pragma once

#include <memory>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/zone/memcached_process.h"
#include "thaw/zone/zone_client.h"
#include "thaw/zone/zone_options.h"

namespace thaw {

/// Belongs to one thread, which lives as long.
class LoopbackZone {
 public:
  /// As many servers of the same options; `server.port` is 0. kUnsupported, with what to install,
  /// if there is no memcached.
  static Result<std::unique_ptr<LoopbackZone>> start(unsigned nodes,
                                                     const MemcachedOptions& server);

  size_t nodes() const { return servers_.size(); }
  MemcachedProcess& server(size_t node) { return *servers_[node]; }
  /// Four stripes and these, with the servers as nodes, a zone's latency, and items as large as
  /// they take.
  ZoneOptions options(uint64_t seed, unsigned parity_stripes = 1) const;
  /// Ends every server and starts it again, empty, at its port.
  Result<void> restart();

 private:
  explicit LoopbackZone(unsigned item_mib_max) : item_mib_max_(item_mib_max) {}

  const unsigned item_mib_max_;
  std::vector<std::unique_ptr<MemcachedProcess>> servers_;
};

/// Returns when the client has a connection to each of its `nodes`: a new worker's work, not what
/// is measured. kUnavailable after half a minute.
Result<void> wait_until_up(const ZoneClient& zone, size_t nodes);

}  // namespace thaw
