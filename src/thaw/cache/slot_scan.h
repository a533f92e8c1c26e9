// SPDX-License-Identifier: Apache-2.0
//
// scan_headers: reads the headers of all slots of a cache file, many at a time, as opening a cache
// does: with io_uring, or with threads where that is forbidden.
#pragma once

#include <functional>

#include "thaw/cache/block_file.h"
#include "thaw/cache/cache_format.h"

namespace thaw {

struct SlotScanOptions {
  bool io_uring = true;       // false: threads at once
  uint32_t queue_depth = 64;  // headers under way with io_uring
  uint32_t threads = 8;       // without
};

/// Called for every slot once, in no order, never by two threads at once. `header` is empty if the
/// slot could not be read, and lives for the call only.
using VisitHeader = std::function<void(uint32_t slot, ByteSpan header)>;

/// Returns true if io_uring did it. Cost: one read of the geometry's header_bytes a slot.
bool scan_headers(BlockFile& file, const CacheGeometry& geometry, const SlotScanOptions& options,
                  const VisitHeader& visit);

}  // namespace thaw
