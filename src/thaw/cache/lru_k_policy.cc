// SPDX-License-Identifier: Apache-2.0
//
// The heap holds what may be chosen and young_ what is inside its correlated period, in the order
// in which the periods end, so that an eviction never steps over the young ones. Every reference
// puts a slot into young_ once, and an eviction moves it to the heap once.
#include "thaw/cache/lru_k_policy.h"

#include <algorithm>

namespace thaw {

LruKPolicy::LruKPolicy(uint32_t capacity_slots, Options options)
    : period_(options.correlated_part == 0 ? 0 : capacity_slots / options.correlated_part),
      history_max_(static_cast<uint32_t>(std::clamp<uint64_t>(
          uint64_t{capacity_slots} * options.history_factor, 1, kPolicySlotsMax))),
      slots_(capacity_slots),
      links_(capacity_slots),
      young_(links_),
      history_(history_max_) {
  CHECK(capacity_slots >= 1 && capacity_slots <= kPolicySlotsMax);
  heap_.reserve(capacity_slots);
}

void LruKPolicy::inserted(uint32_t slot, uint64_t key) {
  CHECK(slot < slots_.size() && slots_[slot].heap_position == kNotResident);
  ++now_;
  slots_[slot] = {key, now_, history_.take(key).value_or(0), now_, kYoung};
  young_.push_newest(slot);
}

void LruKPolicy::hit(uint32_t slot) {
  CHECK(slot < slots_.size() && slots_[slot].heap_position != kNotResident);
  Slot& state = slots_[slot];
  ++now_;
  leave(slot);
  if (now_ - state.last > period_) {
    // HIST(2) = HIST(1) + (LAST - HIST(1)): the correlated references before this one shrink to
    // the moment of the last of them.
    state.second = state.last;
    state.recent = now_;
  }
  state.last = now_;
  state.heap_position = kYoung;
  young_.push_newest(slot);
}

void LruKPolicy::removed(uint32_t slot) {
  CHECK(slot < slots_.size() && slots_[slot].heap_position != kNotResident);
  leave(slot);
  slots_[slot].heap_position = kNotResident;
}

std::optional<uint32_t> LruKPolicy::evict(const Pinned& pinned) {
  while (young_.size() > 0 && now_ - slots_[young_.oldest()].last >= period_) {
    const uint32_t slot = young_.oldest();
    young_.remove(slot);
    push_heap(slot);
  }
  const std::optional<uint32_t> slot = choose(pinned);
  if (slot) {
    removed(*slot);
    history_.remember(slots_[*slot].key, slots_[*slot].recent, history_max_);
  }
  return slot;
}

/// The first of the heap that is not pinned, else the oldest young one that is not.
std::optional<uint32_t> LruKPolicy::choose(const Pinned& pinned) {
  passed_.clear();
  while (!heap_.empty() && pinned(heap_.front())) {
    passed_.push_back(heap_.front());
    remove_from_heap(heap_.front());
  }
  std::optional<uint32_t> slot;
  if (!heap_.empty()) slot = heap_.front();
  for (const uint32_t back : passed_) push_heap(back);
  if (slot) return slot;
  for (uint32_t young = young_.oldest(); young != kNoSlot; young = young_.newer(young)) {
    if (!pinned(young)) return young;
  }
  return std::nullopt;
}

void LruKPolicy::leave(uint32_t slot) {
  if (slots_[slot].heap_position == kYoung) {
    young_.remove(slot);
  } else {
    remove_from_heap(slot);
  }
}

bool LruKPolicy::leaves_before(uint32_t a, uint32_t b) const {
  if (slots_[a].second != slots_[b].second) return slots_[a].second < slots_[b].second;
  return slots_[a].recent < slots_[b].recent;
}

void LruKPolicy::place(size_t position, uint32_t slot) {
  heap_[position] = slot;
  slots_[slot].heap_position = static_cast<uint32_t>(position);
}

void LruKPolicy::move_up(size_t position) {
  const uint32_t slot = heap_[position];
  while (position > 0 && leaves_before(slot, heap_[(position - 1) / 2])) {
    place(position, heap_[(position - 1) / 2]);
    position = (position - 1) / 2;
  }
  place(position, slot);
}

void LruKPolicy::move_down(size_t position) {
  const uint32_t slot = heap_[position];
  while (2 * position + 1 < heap_.size()) {
    size_t child = 2 * position + 1;
    if (child + 1 < heap_.size() && leaves_before(heap_[child + 1], heap_[child])) ++child;
    if (!leaves_before(heap_[child], slot)) break;
    place(position, heap_[child]);
    position = child;
  }
  place(position, slot);
}

void LruKPolicy::push_heap(uint32_t slot) {
  heap_.push_back(slot);
  move_up(heap_.size() - 1);
}

void LruKPolicy::remove_from_heap(uint32_t slot) {
  const size_t position = slots_[slot].heap_position;
  DCHECK(position < heap_.size() && heap_[position] == slot);
  const uint32_t last = heap_.back();
  heap_.pop_back();
  if (last == slot) return;
  place(position, last);
  move_up(position);
  move_down(slots_[last].heap_position);
}

}  // namespace thaw
