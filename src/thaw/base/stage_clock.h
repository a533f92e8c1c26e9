// SPDX-License-Identifier: Apache-2.0
//
// StageClock: adds the time of its life to a figure, a plain one or one that several threads add
// to; with no figure it does not look at the clock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace thaw {

template <typename Total>
class StageClock {
 public:
  /// `total_ns` outlives it, or is nullptr.
  explicit StageClock(Total* total_ns) : total_ns_(total_ns) {
    if (total_ns_ != nullptr) begin_ = Clock::now();
  }
  ~StageClock() {
    if (total_ns_ == nullptr) return;
    const std::chrono::nanoseconds passed = Clock::now() - begin_;
    *total_ns_ += static_cast<uint64_t>(passed.count());
  }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  Total* const total_ns_;
  Clock::time_point begin_;
};

}  // namespace thaw
