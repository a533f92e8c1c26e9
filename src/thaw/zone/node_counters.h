// SPDX-License-Identifier: Apache-2.0
//
// NodeCounters: what happened at one node, over all loops.
#pragma once

#include <atomic>
#include <cstdint>

namespace thaw {

/// Written by the loops, read by anybody; each number on its own, relaxed.
struct NodeCounters {
  using Count = std::atomic<uint64_t>;

  Count connections{0};    // open now
  Count breakers_open{0};  // now
  Count in_flight{0};      // now: asked and not answered
  Count requests{0};
  Count hits{0};
  Count misses{0};
  Count stored{0};
  Count removed{0};
  Count not_accepted{0};  // the node answered with an error
  Count timeouts{0};
  Count failures{0};  // requests lost with their connection
  Count corrupt{0};
  Count abandoned{0};     // answers that came, or would have, after enough others had
  Count refused{0};       // down, breaker open, or over a limit
  Count refused_full{0};  // of these: over a limit
  Count connects{0};
  Count disconnects{0};  // connections lost, and attempts that failed
  Count breaker_opened{0};
  Count bytes_received{0};
  Count bytes_sent{0};  // handed to the connection
  Count bytes_discarded{0};
};

inline void add(NodeCounters::Count& counter, uint64_t amount = 1) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}
inline void subtract(NodeCounters::Count& counter, uint64_t amount = 1) {
  counter.fetch_sub(amount, std::memory_order_relaxed);
}

}  // namespace thaw
