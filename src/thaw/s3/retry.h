// SPDX-License-Identifier: Apache-2.0
//
// Backoff: how long to wait before a retry. Capped exponential growth with full jitter (Brooker,
// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), so that clients which failed
// together do not come back together.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace thaw {

/// Seeded. Belongs to one thread.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds base, std::chrono::milliseconds cap, uint64_t seed)
      : base_(base), cap_(cap), random_(seed) {}

  /// The longest wait before retry `retry` (1, 2, ...): min(cap, base * 2^(retry - 1)).
  std::chrono::nanoseconds limit(unsigned retry) const {
    std::chrono::nanoseconds limit = base_;
    for (unsigned i = 1; i < retry && limit < cap_; ++i) limit *= 2;
    return std::min<std::chrono::nanoseconds>(limit, cap_);
  }
  /// Uniform in [0, limit(retry)].
  std::chrono::nanoseconds wait(unsigned retry) {
    return std::chrono::nanoseconds(
        std::uniform_int_distribution<int64_t>(0, limit(retry).count())(random_));
  }

 private:
  const std::chrono::milliseconds base_;
  const std::chrono::milliseconds cap_;
  std::mt19937_64 random_;
};

}  // namespace thaw
