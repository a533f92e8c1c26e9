// SPDX-License-Identifier: Apache-2.0
//
// What `thaw show` says of a working set: its size under the snapshot's present layout, how its
// recordings agree, and one of them as a page trace.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/cli/output.h"
#include "thaw/image/manifest.h"
#include "thaw/image/page_trace.h"
#include "thaw/image/working_set.h"

namespace thaw {

/// A set of pages under a layout.
struct PagesShape {
  uint64_t pages = 0;
  uint64_t zero_pages = 0;   // of these, no chunk has them
  uint64_t runs = 0;         // of neighbouring pages, zero or not
  uint64_t chunks = 0;       // that hold a page of it
  uint64_t chunk_pages = 0;  // all pages of these chunks

  /// Bytes of the chunks that have to be fetched, for each byte of the pages; 0 if all are zero.
  double amplification() const;
};

/// `pages` in any order, each once, inside the map.
PagesShape shape_of(std::vector<uint32_t> pages, const PageMap& map,
                    std::span<const ChunkEntry> chunks);

/// The table of recordings and of what they have in common, the overlap of each two, and the packs;
/// the same as the member "working_set" of the object. `map` is that of the memory.
void report_working_set(const WorkingSet& set, const PageMap& map, const ManifestClear& clear,
                        Output& out);

/// The recording as a trace: the gaps are the times between first touches.
PageTrace trace_of(const Recording& recording, uint64_t page_count);

}  // namespace thaw
