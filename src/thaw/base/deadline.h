// SPDX-License-Identifier: Apache-2.0
//
// Deadline: until when an answer is worth having. It is made once, where a request enters, and
// handed down through every tier, so that no retry below outlives the wish above.
#pragma once

#include <chrono>

namespace thaw {

using Deadline = std::chrono::steady_clock::time_point;

inline constexpr Deadline kNoDeadline = Deadline::max();

inline Deadline deadline_in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

}  // namespace thaw
