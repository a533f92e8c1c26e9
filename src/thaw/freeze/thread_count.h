// SPDX-License-Identifier: Apache-2.0
//
// How many threads a job gets when each of them needs buffers and memory is bounded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>

namespace thaw {

/// `wanted` threads, or one for each core if it is 0, but at least one and no more than fit
/// `bytes_max` with `bytes_each`.
inline unsigned bounded_threads(unsigned wanted, uint64_t bytes_each, uint64_t bytes_max) {
  if (wanted == 0) wanted = std::max(1u, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::clamp<uint64_t>(bytes_max / bytes_each, 1, wanted));
}

}  // namespace thaw
