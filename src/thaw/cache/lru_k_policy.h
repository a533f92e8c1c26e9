// SPDX-License-Identifier: Apache-2.0
//
// LruKPolicy: LRU-K with K = 2 (O'Neil, O'Neil, Weikum: "The LRU-K page replacement algorithm for
// database disk buffering", SIGMOD 1993). The slot whose second-last reference lies furthest back
// goes; slots referenced only once go before all others, the longest untouched first. References
// within the correlated reference period count as one, and a slot inside it is not chosen while
// another can be. The times of evicted keys are retained, so that a key which comes back is known.
//
// Time is the number of references: inserted() and hit().
#pragma once

#include <vector>

#include "thaw/cache/key_history.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/cache/slot_list.h"

namespace thaw {

/// Every operation is O(log n), and one step for each pinned slot that evict() meets.
class LruKPolicy final : public ReplacementPolicy {
 public:
  /// As parts of the capacity, so that one setting fits caches of all sizes.
  struct Options {
    /// The correlated reference period in references: capacity / correlated_part; 0 for none.
    uint32_t correlated_part = 20;
    /// The evicted keys whose times are retained: capacity * history_factor.
    uint32_t history_factor = 1;
  };

  LruKPolicy(uint32_t capacity_slots, Options options);

  void inserted(uint32_t slot, uint64_t key) override;
  void hit(uint32_t slot) override;
  void removed(uint32_t slot) override;
  std::optional<uint32_t> evict(const Pinned& pinned) override;
  uint32_t size() const override { return young_.size() + static_cast<uint32_t>(heap_.size()); }

  uint64_t correlated_period() const { return period_; }

 private:
  static constexpr uint32_t kYoung = UINT32_MAX;  // in young_, not in the heap
  static constexpr uint32_t kNotResident = UINT32_MAX - 1;

  struct Slot {
    uint64_t key = 0;
    uint64_t recent = 0;  // HIST(1): the last uncorrelated reference
    uint64_t second = 0;  // HIST(2): the one before; 0 if there was none
    uint64_t last = 0;    // LAST: the last reference of all
    uint32_t heap_position = kNotResident;
  };

  bool leaves_before(uint32_t a, uint32_t b) const;
  void move_up(size_t position);
  void move_down(size_t position);
  void place(size_t position, uint32_t slot);
  void push_heap(uint32_t slot);
  void remove_from_heap(uint32_t slot);
  void leave(uint32_t slot);
  std::optional<uint32_t> choose(const Pinned& pinned);

  const uint64_t period_;
  const uint32_t history_max_;
  uint64_t now_ = 0;
  std::vector<Slot> slots_;
  SlotLinks links_;
  SlotList young_;                // referenced within the period as of the last evict(), by `last`
  std::vector<uint32_t> heap_;    // the others; the first is the next to leave
  std::vector<uint32_t> passed_;  // scratch of choose(): pinned slots taken off the heap
  KeyHistory<uint64_t> history_;  // HIST(1) of evicted keys
};

}  // namespace thaw
