// SPDX-License-Identifier: Apache-2.0
//
// MemoryUse: what a stretch of a process's memory takes, as the kernel counts it.
#pragma once

#include <cstdint>
#include <string_view>

namespace thaw {

struct MemoryUse {
  uint64_t private_bytes = 0;  // that nobody else has: Private_Clean and Private_Dirty
  uint64_t share_bytes = 0;    // with a part of what several have: Pss

  friend MemoryUse operator+(MemoryUse a, MemoryUse b) {
    return {a.private_bytes + b.private_bytes, a.share_bytes + b.share_bytes};
  }
};

/// Of the mappings that have a part in [begin, end), each whole, from the text of /proc/PID/smaps
/// (proc(5)): the kernel may join a mapping with its neighbour. Lines of other forms are passed
/// over.
MemoryUse memory_use(std::string_view smaps, uint64_t begin, uint64_t end);

}  // namespace thaw
