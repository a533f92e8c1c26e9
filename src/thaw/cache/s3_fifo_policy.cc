// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/s3_fifo_policy.h"

#include <algorithm>

namespace thaw {

S3FifoPolicy::S3FifoPolicy(uint32_t capacity_slots)
    : slots_(capacity_slots),
      links_(capacity_slots),
      small_(links_),
      main_(links_),
      ghosts_(std::max(capacity_slots, 1u)) {
  CHECK(capacity_slots >= 1 && capacity_slots <= kPolicySlotsMax);
}

void S3FifoPolicy::inserted(uint32_t slot, uint64_t key) {
  CHECK(slot < slots_.size() && slots_[slot].queue == Queue::kNone);
  const bool ghost = ghosts_.take(key).has_value();
  slots_[slot] = {key, ghost ? Queue::kMain : Queue::kSmall, 0};
  list_of(slot).push_newest(slot);
}

void S3FifoPolicy::hit(uint32_t slot) {
  CHECK(slot < slots_.size() && slots_[slot].queue != Queue::kNone);
  slots_[slot].frequency =
      static_cast<uint8_t>(std::min<int>(slots_[slot].frequency + 1, kFrequencyMax));
}

void S3FifoPolicy::removed(uint32_t slot) {
  CHECK(slot < slots_.size() && slots_[slot].queue != Queue::kNone);
  list_of(slot).remove(slot);
  slots_[slot].queue = Queue::kNone;
}

std::optional<uint32_t> S3FifoPolicy::evict(const Pinned& pinned) {
  // Each hand walks its queue once, from the oldest on. It meets again only what was moved to the
  // newest end with a smaller frequency, so both come to an end. A hand that did stays there: the
  // slots it passed are pinned.
  uint32_t small_hand = small_.oldest();
  uint32_t main_hand = main_.oldest();
  while (small_hand != kNoSlot || main_hand != kNoSlot) {
    const bool from_small = main_hand == kNoSlot || (small_hand != kNoSlot && small_gives_way());
    uint32_t& hand = from_small ? small_hand : main_hand;
    const uint32_t slot = hand;
    Slot& state = slots_[slot];
    if (from_small && state.frequency > kPromoteAbove) {
      hand = small_.newer(slot);
      small_.remove(slot);
      main_.push_newest(slot);
      state.queue = Queue::kMain;
      state.frequency = 0;
      if (main_hand == kNoSlot) main_hand = slot;
    } else if (!from_small && state.frequency > 0) {
      --state.frequency;
      hand = main_.newer(slot);
      main_.remove(slot);
      main_.push_newest(slot);
      if (hand == kNoSlot) hand = slot;  // it was the newest already, and follows itself
    } else if (pinned(slot)) {
      hand = list_of(slot).newer(slot);
    } else {
      const bool leaves_ghost = from_small;
      removed(slot);
      if (leaves_ghost) ghosts_.remember(state.key, {}, size());
      return slot;
    }
  }
  return std::nullopt;
}

}  // namespace thaw
