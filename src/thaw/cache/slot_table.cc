// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/slot_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

namespace thaw {

SlotTable::SlotTable(uint32_t slots, PolicyKind policy, uint64_t hash_seed,
                     std::vector<Found> found)
    : hash_seed_(hash_seed),
      slots_(slots),
      buckets_(std::bit_ceil(slots), kNoSlot),
      policy_(make_policy(policy, slots)) {
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.sequence, a.slot) < std::tie(b.sequence, b.slot);
  });
  for (const Found& entry : found) {
    CHECK(slots_.at(entry.slot).state == State::kFree);
    if (const uint32_t earlier = find(entry.id); earlier != kNoSlot) {
      policy_->removed(earlier);
      unlink(earlier);
      slots_[earlier].state = State::kFree;
    }
    slots_[entry.slot].id = entry.id;
    slots_[entry.slot].pages = entry.pages;
    slots_[entry.slot].state = State::kResident;
    link(entry.slot);
    policy_->inserted(entry.slot, policy_key(entry.id));
  }
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (slots_[slot].state == State::kFree) push_free(slot);
    if (slots_[slot].state == State::kResident) resident_pages_ += slots_[slot].pages;
  }
}

bool SlotTable::contains(const ChunkId& id) const {
  const uint32_t slot = find(id);
  return slot != kNoSlot && slots_[slot].state == State::kResident;
}

std::optional<SlotTable::Lease> SlotTable::pin(const ChunkId& id) {
  std::optional<Lease> lease = pin_quietly(id);
  if (lease) policy_->hit(lease->slot);
  return lease;
}

std::optional<SlotTable::Lease> SlotTable::pin_quietly(const ChunkId& id) {
  const uint32_t slot = find(id);
  if (slot == kNoSlot) return std::nullopt;
  return pin_slot(slot);
}

std::optional<SlotTable::Lease> SlotTable::pin_slot(uint32_t slot) {
  Slot& state = slots_[slot];
  if (state.state != State::kResident) return std::nullopt;
  ++state.pins;
  return Lease{slot, state.id, state.pages};
}

void SlotTable::unpin(uint32_t slot) {
  Slot& state = slots_[slot];
  CHECK(state.pins > 0);
  if (--state.pins == 0 && state.state == State::kDropped) push_free(slot);
}

SlotTable::Fill SlotTable::begin_fill(const ChunkId& id, uint32_t pages) {
  if (find(id) != kNoSlot) return {.status = Fill::Status::kPresent};
  Fill fill{.status = Fill::Status::kBegun, .slot = pop_free()};
  if (fill.slot == kNoSlot) {
    const std::optional<uint32_t> victim =
        policy_->evict([&](uint32_t slot) { return slots_[slot].pins > 0; });
    if (!victim) return {.status = Fill::Status::kNoVictim};
    fill.slot = *victim;
    fill.evicted = true;
    resident_pages_ -= slots_[*victim].pages;
    unlink(*victim);
  }
  slots_[fill.slot] = {.id = id, .pages = pages, .pins = 1, .state = State::kFilling};
  link(fill.slot);
  return fill;
}

void SlotTable::end_fill(uint32_t slot, bool succeeded) {
  Slot& state = slots_[slot];
  CHECK(state.state == State::kFilling && state.pins == 1);
  state.pins = 0;
  if (!succeeded) {
    unlink(slot);
    push_free(slot);
    return;
  }
  state.state = State::kResident;
  resident_pages_ += state.pages;
  policy_->inserted(slot, policy_key(state.id));
}

bool SlotTable::drop(uint32_t slot) {
  Slot& state = slots_[slot];
  CHECK(state.pins > 0);
  if (state.state != State::kResident) return false;
  policy_->removed(slot);
  resident_pages_ -= state.pages;
  unlink(slot);
  state.state = State::kDropped;
  return true;
}

uint64_t SlotTable::policy_key(const ChunkId& id) {
  return std::hash<ChunkId>()(id);  // any part of a digest is a hash of it
}

size_t SlotTable::bucket_of(const ChunkId& id) const {
  const uint64_t mixed = (policy_key(id) ^ hash_seed_) * 0x9e3779b97f4a7c15;  // Fibonacci hashing
  return (mixed >> 32) & (buckets_.size() - 1);
}

uint32_t SlotTable::find(const ChunkId& id) const {
  uint32_t slot = buckets_[bucket_of(id)];
  while (slot != kNoSlot && slots_[slot].id != id) slot = slots_[slot].next;
  return slot;
}

void SlotTable::link(uint32_t slot) {
  uint32_t& bucket = buckets_[bucket_of(slots_[slot].id)];
  slots_[slot].next = bucket;
  bucket = slot;
}

void SlotTable::unlink(uint32_t slot) {
  uint32_t* link = &buckets_[bucket_of(slots_[slot].id)];
  while (*link != slot) {
    CHECK(*link != kNoSlot);
    link = &slots_[*link].next;
  }
  *link = slots_[slot].next;
}

void SlotTable::push_free(uint32_t slot) {
  slots_[slot].state = State::kFree;
  slots_[slot].next = kNoSlot;
  (first_free_ == kNoSlot ? first_free_ : slots_[last_free_].next) = slot;
  last_free_ = slot;
}

uint32_t SlotTable::pop_free() {
  const uint32_t slot = first_free_;
  if (slot != kNoSlot) first_free_ = slots_[slot].next;
  return slot;
}

}  // namespace thaw
