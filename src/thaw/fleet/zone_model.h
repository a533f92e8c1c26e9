// SPDX-License-Identifier: Apache-2.0
//
// ZoneModel: the zone's cache servers in the simulation: stripes placed by the real placement
// (zone/placement.h), each server with a cache of its own that any of the real policies evicts from
// (memcached's own is close to lru), a link of limited bandwidth, and the latency of the k-th best
// of the stripes that are there.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "thaw/fleet/fleet_draws.h"
#include "thaw/fleet/fleet_scenario.h"
#include "thaw/fleet/grain_cache.h"
#include "thaw/zone/placement.h"

namespace thaw {

/// Belongs to one thread. Times are nanoseconds since the run began and must not go back.
class ZoneModel {
 public:
  /// `scenario` is valid and has a zone.
  /// `partition_of` says a grain's; empty: a hash of its number does.
  explicit ZoneModel(const FleetScenario& scenario,
                     std::function<uint32_t(uint32_t grain)> partition_of = nullptr);

  struct Answer {
    bool hit = false;
    bool degraded = false;  // a hit without one of the stripes
    int64_t at_ns = 0;      // when it is known
  };
  /// Asks every server that is up for its stripe of the grain, now.
  Answer get(uint32_t grain, int64_t now_ns, FleetDraws& latency);
  /// Stores a stripe at every server that is up.
  void put(uint32_t grain);

  void lose(uint32_t node);
  void bring_back(uint32_t node) { up_[node] = true; }
  void clear();

  uint64_t memory_bytes() const;

 private:
  static constexpr uint32_t kStripesMax = 20;

  /// Of one of the grain's chunks. Stripes are kept where those of the first would be; what the
  /// servers send is shared out by all, or a grain of many chunks would fall on five servers.
  std::span<const Placement::Node> nodes_of(uint32_t grain, uint32_t chunk) const {
    return placement_.nodes_of_partition(
        partition_of_ && chunk == 0
            ? partition_of_(grain)
            : static_cast<uint32_t>(mix_bits(uint64_t{grain} << 32 | chunk) % kPartitions));
  }
  /// When the node has sent one more stripe of a chunk.
  int64_t send(Placement::Node node, int64_t now_ns);
  /// When the k-th of the stripes of a chunk was sent.
  int64_t enough_sent(std::span<int64_t> sent, int64_t now_ns) const;

  const uint32_t data_stripes_;
  const uint32_t grain_chunks_;
  const int64_t transfer_ns_;  // of one chunk's stripe over a node's link; 0: none
  const std::function<uint32_t(uint32_t grain)> partition_of_;
  Placement placement_;
  std::vector<LatencyTable> tables_;  // by stripes that are there above data_stripes_
  std::vector<GrainCache> caches_;    // by node, as are
  std::vector<bool> up_;
  std::vector<int64_t> link_free_ns_;
};

}  // namespace thaw
