// SPDX-License-Identifier: Apache-2.0
//
// LruPolicy: the slot that nobody asked for the longest goes. One scan longer than the cache
// empties it, which is why it is the baseline here and not the default.
#pragma once

#include <vector>

#include "thaw/cache/replacement_policy.h"
#include "thaw/cache/slot_list.h"

namespace thaw {

class LruPolicy final : public ReplacementPolicy {
 public:
  explicit LruPolicy(uint32_t capacity_slots)
      : resident_(capacity_slots, false), links_(capacity_slots), order_(links_) {
    CHECK(capacity_slots >= 1 && capacity_slots <= kPolicySlotsMax);
  }

  void inserted(uint32_t slot, uint64_t /*key*/) override {
    CHECK(slot < resident_.size() && !resident_[slot]);
    resident_[slot] = true;
    order_.push_newest(slot);
  }
  void hit(uint32_t slot) override {
    CHECK(slot < resident_.size() && resident_[slot]);
    order_.remove(slot);
    order_.push_newest(slot);
  }
  void removed(uint32_t slot) override {
    CHECK(slot < resident_.size() && resident_[slot]);
    resident_[slot] = false;
    order_.remove(slot);
  }
  std::optional<uint32_t> evict(const Pinned& pinned) override {
    for (uint32_t slot = order_.oldest(); slot != kNoSlot; slot = order_.newer(slot)) {
      if (pinned(slot)) continue;
      removed(slot);
      return slot;
    }
    return std::nullopt;
  }
  uint32_t size() const override { return order_.size(); }

 private:
  std::vector<bool> resident_;
  SlotLinks links_;
  SlotList order_;
};

}  // namespace thaw
