// SPDX-License-Identifier: Apache-2.0
//
// The memory image of the replay VMM's own tests.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <random>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"

namespace thaw {

inline constexpr uint64_t kPages = 1024;
inline constexpr uint64_t kImageBytes = kPages * kPageBytes;

// Far below ReplayVmm::kWaitMax, so that a test that hangs says so before ctest does.
inline constexpr std::chrono::milliseconds kPatience{60'000};

inline Bytes random_image(uint64_t bytes) {
  std::mt19937_64 engine(7);
  Bytes image(bytes);
  for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
    const uint64_t word = engine();
    std::memcpy(image.data() + i, &word, sizeof word);
  }
  return image;
}

}  // namespace thaw
