// SPDX-License-Identifier: Apache-2.0
//
// The heap of a process that takes and frees chunk buffers all the time.
#pragma once

#include <malloc.h>

namespace thaw {

/// Called once, first thing in main(). As it comes, the allocator maps and unmaps a buffer of 512
/// KiB each time, and the kernel clears it each time: a third of what reading it from a disk costs.
/// With these a buffer that was freed is used again; up to 256 MiB that are free stay with the
/// process.
inline void keep_freed_chunks() {
  constexpr int kMapped = 32 << 20;  // the largest that malloc takes
  constexpr int kKept = 256 << 20;
  static_cast<void>(::mallopt(M_MMAP_THRESHOLD, kMapped));
  static_cast<void>(::mallopt(M_TRIM_THRESHOLD, kKept));
}

}  // namespace thaw
