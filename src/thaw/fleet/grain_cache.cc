// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/grain_cache.h"

#include "thaw/base/check.h"
#include "thaw/fleet/fleet_draws.h"

namespace thaw {
namespace {

/// A policy's memory for a slot, at most about (replacement_policy.h).
constexpr uint64_t kPolicySlotBytes = 48;
/// Of calls in the list: then it takes as much as the policy does.
constexpr uint64_t kToldPerSlot = kPolicySlotBytes / sizeof(uint32_t);
constexpr size_t kTableMin = 8;

}  // namespace

uint32_t GrainCache::home_of(uint32_t grain) const {
  return static_cast<uint32_t>(mix_bits(grain) & (table_.size() - 1));
}

uint32_t GrainCache::find(uint32_t grain) const {
  if (table_.empty()) return kNowhere;
  const auto mask = static_cast<uint32_t>(table_.size() - 1);
  for (uint32_t at = home_of(grain); table_[at] != kNowhere; at = (at + 1) & mask) {
    if (grain_of_[table_[at]] == grain) return at;
  }
  return kNowhere;
}

void GrainCache::link(uint32_t slot) {
  const auto mask = static_cast<uint32_t>(table_.size() - 1);
  uint32_t at = home_of(grain_of_[slot]);
  while (table_[at] != kNowhere) at = (at + 1) & mask;
  table_[at] = slot;
}

void GrainCache::unlink(uint32_t grain) {
  const auto mask = static_cast<uint32_t>(table_.size() - 1);
  uint32_t hole = find(grain);
  CHECK(hole != kNowhere);
  // What stands behind the hole moves into it unless its own way begins after it.
  for (uint32_t at = (hole + 1) & mask; table_[at] != kNowhere; at = (at + 1) & mask) {
    const uint32_t home = home_of(grain_of_[table_[at]]);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    table_[hole] = table_[at];
    hole = at;
  }
  table_[hole] = kNowhere;
}

void GrainCache::grow() {
  table_.assign(table_.empty() ? kTableMin : 2 * table_.size(), kNowhere);
  for (uint32_t slot = 0; slot < grain_of_.size(); ++slot) link(slot);
}

void GrainCache::tell(uint32_t slot) {
  if (policy_) {
    policy_->hit(slot);
    return;
  }
  told_.push_back(slot);
  if (told_.size() > kToldPerSlot * slots_) begin_policy();
}

void GrainCache::begin_policy() {
  policy_ = make_policy(kind_, slots_);
  uint32_t known = 0;  // slots are taken in order, so the first call of each is its insertion
  for (const uint32_t slot : told_) {
    if (slot < known) {
      policy_->hit(slot);
    } else {
      policy_->inserted(slot, mix_bits(grain_of_[slot]));
      ++known;
    }
  }
  told_ = {};
}

bool GrainCache::touch(uint32_t grain) {
  const uint32_t at = find(grain);
  if (at == kNowhere) return false;
  tell(table_[at]);
  return true;
}

void GrainCache::insert(uint32_t grain) {
  if (slots_ == 0 || contains(grain)) return;
  if (size() < slots_) {
    const uint32_t slot = size();
    grain_of_.push_back(grain);
    // At most two thirds full.
    if (3 * grain_of_.size() > 2 * table_.size()) {
      grow();
    } else {
      link(slot);
    }
    if (policy_) {
      policy_->inserted(slot, mix_bits(grain));
    } else {
      tell(slot);
    }
    return;
  }
  if (!policy_) begin_policy();
  const std::optional<uint32_t> victim = policy_->evict([](uint32_t) { return false; });
  CHECK(victim.has_value());
  ++evictions_;
  unlink(grain_of_[*victim]);
  grain_of_[*victim] = grain;
  link(*victim);
  policy_->inserted(*victim, mix_bits(grain));
}

void GrainCache::clear() {
  grain_of_ = {};
  table_ = {};
  told_ = {};
  policy_.reset();
}

uint64_t GrainCache::memory_bytes() const {
  const uint64_t policy = policy_ ? kPolicySlotBytes * slots_ : 0;
  return policy + sizeof(uint32_t) * (grain_of_.capacity() + table_.capacity() + told_.capacity());
}

}  // namespace thaw
