// SPDX-License-Identifier: Apache-2.0
//
// StageTimes: what the processor does for a resume, by stage. Only a session that is told to
// (SessionOptions::stages) looks at the clock for it.
#pragma once

#include <atomic>
#include <cstdint>

namespace thaw {

/// Added up over all threads.
struct StageTimes {
  std::atomic<uint64_t> decrypt_ns{0};
  std::atomic<uint64_t> install_ns{0};  // in the kernel
};

}  // namespace thaw
