// SPDX-License-Identifier: Apache-2.0
//
// Histogram: a log-linear histogram of durations. Values below 64 have a bucket each; above, every
// power of two is cut into 32 buckets, so a percentile is at most 1/32 (3.2 %) above the true
// value, over the whole range of 64 bits. Fixed 15 KiB, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace thaw {

/// Belongs to one thread: threads record into their own and merge afterwards.
class Histogram {
 public:
  /// About a nanosecond; touches two cache lines.
  void record(uint64_t value) { record(value, 1); }
  void record(uint64_t value, uint64_t times);
  /// Afterwards this is what it would be had it recorded the other's values as well.
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  /// Exact; 0 if empty.
  uint64_t max() const { return max_; }
  /// Exact as long as the sum of all values fits 64 bits; 0 if empty.
  double mean() const;
  /// A value v with: at least `percent` percent of the recorded values are <= v. It is the upper
  /// end of the bucket of the true percentile, but never above max(). 0 if empty. 0 <= percent <=
  /// 100.
  uint64_t percentile(double percent) const;

  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr uint64_t kSubBuckets = uint64_t{1} << kSubBits;
  static constexpr unsigned kExactBits = kSubBits + 1;
  static constexpr size_t kBuckets = (64 - kExactBits + 2) << kSubBits;

  static size_t bucket_of(uint64_t value);
  static uint64_t highest_of(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace thaw
