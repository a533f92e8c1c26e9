// SPDX-License-Identifier: Apache-2.0
//
// KeyHistory: what a policy remembers of keys that are no longer in the cache: a first-in first-out
// queue with lookup by key, in memory of a fixed size.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "thaw/base/check.h"

namespace thaw {

/// One thread at a time. 12 bytes and the value (in units of 8) a key, and 4 to 8 bytes of buckets.
/// Every operation is O(1) on average.
template <typename Value>
class KeyHistory {
 public:
  /// Remembers at most `capacity` keys, at least 1.
  explicit KeyHistory(uint32_t capacity)
      : ring_(capacity), buckets_(std::bit_ceil(capacity), kEnd) {
    CHECK(capacity >= 1 && capacity < kForgotten);
  }

  /// Remembers `key`, as the newest, and forgets the oldest until at most `keys_max` (at least 1)
  /// and the capacity remain. A place that take() emptied counts until it is the oldest.
  void remember(uint64_t key, Value value, uint32_t keys_max) {
    take(key);
    const auto limit = std::clamp<uint32_t>(keys_max, 1, static_cast<uint32_t>(ring_.size()));
    while (used_ >= limit) forget_oldest();
    const uint32_t place = at(used_++);
    uint32_t& bucket = bucket_of(key);
    ring_[place] = {key, bucket, std::move(value)};
    bucket = place;
  }

  /// Forgets `key` and returns its value; nullopt if it is not remembered.
  std::optional<Value> take(uint64_t key) {
    for (uint32_t* link = &bucket_of(key); *link != kEnd; link = &ring_[*link].next) {
      Entry& entry = ring_[*link];
      if (entry.key != key) continue;
      *link = entry.next;
      entry.next = kForgotten;
      return std::move(entry.value);
    }
    return std::nullopt;
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;            // of a bucket's chain
  static constexpr uint32_t kForgotten = UINT32_MAX - 1;  // the entry is in no chain

  struct Entry {
    uint64_t key = 0;
    uint32_t next = kForgotten;  // in the bucket
    [[no_unique_address]] Value value{};
  };

  uint32_t at(uint32_t from_oldest) const {
    const uint64_t place = uint64_t{oldest_} + from_oldest;
    return static_cast<uint32_t>(place < ring_.size() ? place : place - ring_.size());
  }
  uint32_t& bucket_of(uint64_t key) {
    // Fibonacci hashing: keys need not be good hashes themselves.
    const uint64_t mixed = (key * 0x9e3779b97f4a7c15) >> 32;
    return buckets_[mixed & (buckets_.size() - 1)];
  }
  void forget_oldest() {
    if (ring_[oldest_].next != kForgotten) take(ring_[oldest_].key);
    oldest_ = at(1);
    --used_;
  }

  std::vector<Entry> ring_;
  std::vector<uint32_t> buckets_;  // the newest place of each chain
  uint32_t oldest_ = 0;
  uint32_t used_ = 0;
};

}  // namespace thaw
