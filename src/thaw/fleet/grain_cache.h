// SPDX-License-Identifier: Apache-2.0
//
// GrainCache: which grains a cache holds, by one of the real replacement policies
// (cache/replacement_policy.h). A fleet has hundreds of thousands of caches of which most never
// fill, and a policy takes its memory at once; until the first eviction a policy only records, so
// what it would be told is kept in a list, and told when it matters. The decisions are those of a
// policy that was there from the start.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "thaw/cache/replacement_policy.h"

namespace thaw {

/// Belongs to one thread. O(1) but for what the policy costs; 12 to 16 bytes a grain that it holds,
/// and 4 for each call of touch() and insert(), or the policy's.
class GrainCache {
 public:
  /// Of at most `slots` grains; 0 holds nothing.
  GrainCache(PolicyKind kind, uint32_t slots) : kind_(kind), slots_(slots) {}

  bool contains(uint32_t grain) const { return find(grain) != kNowhere; }
  /// True if it is here; counts as a hit for the policy.
  bool touch(uint32_t grain);
  /// Makes room if there is none. Does nothing if it is here.
  void insert(uint32_t grain);
  /// As if it were new; its memory is freed.
  void clear();

  uint32_t size() const { return static_cast<uint32_t>(grain_of_.size()); }
  uint32_t capacity() const { return slots_; }
  uint64_t evictions() const { return evictions_; }
  /// About what it takes.
  uint64_t memory_bytes() const;

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  uint32_t find(uint32_t grain) const;  // its place in table_
  uint32_t home_of(uint32_t grain) const;
  void link(uint32_t slot);
  void unlink(uint32_t grain);
  void grow();
  void tell(uint32_t slot);
  void begin_policy();

  PolicyKind kind_;
  uint32_t slots_;
  uint64_t evictions_ = 0;
  std::vector<uint32_t> grain_of_;  // by slot
  std::vector<uint32_t> table_;     // slots by hash of their grain, probed linearly
  std::vector<uint32_t> told_;      // slots in the order of calls, until there is a policy
  std::unique_ptr<ReplacementPolicy> policy_;
};

}  // namespace thaw
