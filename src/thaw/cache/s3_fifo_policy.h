// SPDX-License-Identifier: Apache-2.0
//
// S3FifoPolicy: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache
// eviction", SOSP 2023). New keys enter a small queue, a tenth of the cache; those that were asked
// for more than once there move on to the main queue, the others leave and are remembered as
// ghosts; a ghost that comes back enters the main queue at once. The main queue gives each slot a
// further round for each time it was asked for, up to three. So a scan passes through the tenth.
//
// Where the paper is silent or this differs:
//  - The small queue's tenth and the ghosts' number are of what is resident, not of the capacity,
//    so that a cache whose bytes run out before its slots behaves the same.
//  - Which queue gives way is decided again after each step, not once per eviction.
//  - A pinned slot that would leave stays where it is and the next older one is looked at.
#pragma once

#include <vector>

#include "thaw/cache/key_history.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/cache/slot_list.h"

namespace thaw {

/// inserted, hit, removed: O(1). evict: O(1) amortised over the hits, and one step for each pinned
/// slot that it meets.
class S3FifoPolicy final : public ReplacementPolicy {
 public:
  /// The small queue gives way from this share of the resident slots on: 1 / 10.
  static constexpr uint32_t kSmallShare = 10;
  /// Hits are counted up to this: two bits.
  static constexpr uint8_t kFrequencyMax = 3;
  /// A slot with more hits than this in the small queue moves to the main queue.
  static constexpr uint8_t kPromoteAbove = 1;

  explicit S3FifoPolicy(uint32_t capacity_slots);

  void inserted(uint32_t slot, uint64_t key) override;
  void hit(uint32_t slot) override;
  void removed(uint32_t slot) override;
  std::optional<uint32_t> evict(const Pinned& pinned) override;
  uint32_t size() const override { return small_.size() + main_.size(); }

 private:
  enum class Queue : uint8_t { kNone, kSmall, kMain };
  struct Slot {
    uint64_t key = 0;
    Queue queue = Queue::kNone;
    uint8_t frequency = 0;
  };
  struct Nothing {};

  bool small_gives_way() const { return uint64_t{small_.size()} * kSmallShare >= uint64_t{size()}; }
  SlotList& list_of(uint32_t slot) { return slots_[slot].queue == Queue::kSmall ? small_ : main_; }

  std::vector<Slot> slots_;
  SlotLinks links_;
  SlotList small_;
  SlotList main_;
  KeyHistory<Nothing> ghosts_;
};

}  // namespace thaw
