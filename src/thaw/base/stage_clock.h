// SPDX-License-Identifier: Apache-2.0
//
// StageClock: adds the time of its life to a figure.
#pragma once

#include <chrono>
#include <cstdint>

namespace thaw {

class StageClock {
 public:
  explicit StageClock(uint64_t& total_ns) : total_ns_(total_ns) {}
  ~StageClock() {
    const auto passed = std::chrono::steady_clock::now() - begin_;
    total_ns_ +=
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count());
  }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  uint64_t& total_ns_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace thaw
