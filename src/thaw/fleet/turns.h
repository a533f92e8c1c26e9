// SPDX-License-Identifier: Apache-2.0
//
// Turns: what waits for the origin on one worker, as FairQueue keeps it: each flow's in the order
// in which they came, and the flows in turn.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

#include "thaw/base/check.h"

namespace thaw {

/// Belongs to one thread.
class Turns {
 public:
  bool empty() const { return flows_in_turn_.empty(); }

  void push(uint32_t flow, uint32_t flight) {
    std::deque<uint32_t>& waiting = waiting_[flow];
    if (waiting.empty()) flows_in_turn_.push_back(flow);
    waiting.push_back(flight);
  }
  /// Not empty.
  uint32_t pop() {
    CHECK(!empty());
    const uint32_t flow = flows_in_turn_.front();
    flows_in_turn_.pop_front();
    const auto entry = waiting_.find(flow);
    const uint32_t flight = entry->second.front();
    entry->second.pop_front();
    if (entry->second.empty()) {
      waiting_.erase(entry);
    } else {
      flows_in_turn_.push_back(flow);
    }
    return flight;
  }

 private:
  std::unordered_map<uint32_t, std::deque<uint32_t>> waiting_;  // by flow
  std::deque<uint32_t> flows_in_turn_;
};

}  // namespace thaw
