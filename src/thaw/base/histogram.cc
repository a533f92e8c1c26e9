// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "thaw/base/check.h"

namespace thaw {

// With e = bit_width(value) - kExactBits (how many low bits are dropped) the kept part value >> e
// has kExactBits bits, so it lies in [kSubBuckets, 2 * kSubBuckets); shifting the rows of 32
// buckets by e makes them adjacent to the exact ones, which are the two rows of e = 0.
size_t Histogram::bucket_of(uint64_t value) {
  const auto width = static_cast<unsigned>(std::bit_width(value));
  const unsigned dropped = width > kExactBits ? width - kExactBits : 0;
  return (size_t{dropped} << kSubBits) + static_cast<size_t>(value >> dropped);
}

uint64_t Histogram::highest_of(size_t bucket) {
  if (bucket < 2 * kSubBuckets) return bucket;
  const uint64_t dropped = (bucket >> kSubBits) - 1;
  const uint64_t kept = bucket - (dropped << kSubBits);
  return (kept << dropped) | ((uint64_t{1} << dropped) - 1);
}

void Histogram::record(uint64_t value, uint64_t times) {
  if (times == 0) return;
  const size_t bucket = bucket_of(value);
  DCHECK(bucket < kBuckets);
  buckets_[bucket] += times;
  count_ += times;
  sum_ += value * times;
  max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const {
  return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

uint64_t Histogram::percentile(double percent) const {
  CHECK(percent >= 0 && percent <= 100);
  if (count_ == 0) return 0;
  // 99.9 is not a binary fraction: without the last factor 99.9 % of 1000 would round up to all
  // 1000.
  const double exact = percent * static_cast<double>(count_) / 100.0 * (1 - 1e-12);
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(exact)), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(highest_of(i), max_);
  }
  return max_;
}

}  // namespace thaw
