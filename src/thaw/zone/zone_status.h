// SPDX-License-Identifier: Apache-2.0
//
// What a zone client tells about itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace thaw {

enum class ZoneNodeState {
  kUp,           // connected
  kDown,         // not connected, or not yet
  kBreakerOpen,  // failed too often; asked again after a probe is answered
};
const char* to_string(ZoneNodeState state);

struct ZoneNodeStatus {
  std::string name;
  std::string host;
  uint16_t port = 0;
  double weight = 1;
  ZoneNodeState state = ZoneNodeState::kDown;
  uint64_t in_flight = 0;
  uint64_t requests = 0;  // of stripes, of all kinds
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t stored = 0;
  uint64_t removed = 0;
  uint64_t not_accepted = 0;
  uint64_t timeouts = 0;
  uint64_t failures = 0;
  uint64_t corrupt = 0;
  uint64_t abandoned = 0;
  uint64_t refused = 0;       // not asked
  uint64_t refused_full = 0;  // of these, because of a limit
  uint64_t connects = 0;
  uint64_t disconnects = 0;
  uint64_t breaker_opened = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_discarded = 0;
};

struct ZoneStatus {
  std::vector<ZoneNodeStatus> nodes;
  bool usable = false;  // there are at least as many nodes as data stripes
  uint64_t gets = 0;    // of chunks
  uint64_t hits = 0;
  uint64_t hits_degraded = 0;   // of these: a data stripe was reconstructed from parity
  uint64_t misses = 0;          // refused ones included
  uint64_t gets_refused = 0;    // too many under way
  uint64_t gets_unusable = 0;   // too few nodes, or stripes too large for an item
  uint64_t gets_in_flight = 0;  // now
  uint64_t puts = 0;
  uint64_t puts_complete = 0;   // all stripes stored
  uint64_t puts_refused = 0;    // too many bytes under way
  uint64_t puts_too_large = 0;  // stripes larger than an item may be
  uint64_t put_bytes_in_flight = 0;
  uint64_t removes = 0;

  size_t nodes_up() const {
    return static_cast<size_t>(
        std::ranges::count(nodes, ZoneNodeState::kUp, &ZoneNodeStatus::state));
  }
};

}  // namespace thaw
