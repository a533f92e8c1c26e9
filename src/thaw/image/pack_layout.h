// SPDX-License-Identifier: Apache-2.0
//
// Which pages stand where in a pack, the compact copy of recorded pages that a technique loads
// (resume/strategy.h says where each comes from):
//   reap     the pages in order of first touch, as REAP's working-set file has them
//   faasnap  groups of 1,024 pages by first touch; in a group in order of address, with the pages
//            of gaps of up to so many pages between two recorded ones, as FaaSnap's loading set
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/image/page_map.h"
#include "thaw/image/page_runs.h"
#include "thaw/image/working_set.h"

namespace thaw {

inline constexpr size_t kFaasnapGroupPages = 1024;

/// The chunks of a pack in order of loading, each as runs in order of slot: each page once, none
/// that is zero in `map`, at most `capacity_pages` in a chunk. `working_set` is in order of rank;
/// what is out of the map or stands twice is left out. `gap_pages` counts for kFaasnap only.
std::vector<PageRuns> plan_pack(PackKind kind, const PageMap& map,
                                std::span<const WorkingPage> working_set, uint32_t gap_pages,
                                uint64_t capacity_pages);

}  // namespace thaw
