// SPDX-License-Identifier: Apache-2.0
//
// What a zone is told: its nodes, how chunks are cut, and every limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/latency_shape.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/net/tls_context.h"
#include "thaw/zone/circuit_breaker.h"

namespace thaw {

struct ZoneNodeAddress {
  std::string name;  // what stripes are placed by, so it must outlive moves; empty: host:port
  std::string host;
  uint16_t port = 11211;
  double weight = 1;  // of the fleet's stripes, in proportion

  std::string effective_name() const;
};

/// Limits of one connection to a node.
struct NodeLimits {
  uint32_t connect_timeout_ms = 200;
  /// With an answer overdue and nothing received for so long, the connection counts as stuck and is
  /// closed.
  uint32_t stall_timeout_ms = 100;
  uint32_t requests_max = 256;            // asked and not answered, abandoned ones included
  uint64_t queued_bytes_max = 16 * kMiB;  // not sent yet
  uint32_t reconnect_delay_ms = 20;       // after the first failure; doubles, jittered
  uint32_t reconnect_delay_ms_max = 1000;
  uint32_t ttl_s = 0;  // of what is stored; 0: until evicted
  BreakerOptions breaker;
};

struct ZoneOptions {
  std::vector<ZoneNodeAddress> nodes;
  unsigned data_stripes = 4;
  unsigned parity_stripes = 1;
  /// From asking to giving up on a stripe: a get without enough of them by then is a miss.
  uint32_t get_timeout_ms = 100;
  uint32_t set_timeout_ms = 1000;  // of puts and removals
  unsigned threads = 1;            // event loops, each with a connection to each node
  uint32_t gets_in_flight_max = 256;
  uint64_t put_bytes_in_flight_max = 64 * kMiB;
  /// The largest item the nodes take: memcached's -I (1 MiB unless given), key and item header
  /// included. A chunk whose stripes are larger is not kept in the zone.
  uint64_t item_bytes_max = kMiB;
  NodeLimits node;
  std::optional<TlsOptions> tls;
  /// For benchmarks on one machine: every node answers as slowly as this.
  std::optional<LatencyShape> shape;
  uint64_t seed = 1;  // of jitter and shapes

  /// Every limit of time to this. For zones whose nodes all answer, where one that a busy machine
  /// held up for a moment is not to count as lost.
  void set_timeouts(uint32_t ms);
  /// kInvalid says which is out of range.
  Result<void> validate() const;
};

/// kInvalid for a node without host or port, or a bad name.
Result<void> validate_zone_nodes(const std::vector<ZoneNodeAddress>& nodes);

}  // namespace thaw
