// SPDX-License-Identifier: Apache-2.0
//
// Loading sets: what a technique reads ahead of the guest, as runs of pages in the order in which
// they are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "thaw/image/page_runs.h"
#include "thaw/image/page_trace.h"

namespace thaw {

/// The recorded pages in groups of `group_pages` by first touch, each group ascending; pages that
/// an earlier group has are not in a later one. A gap of up to `gap_pages` between two pages of a
/// group is loaded with them (FaaSnap, EuroSys 2022, section 4.6). One group without gaps is REAP's
/// (ASPLOS 2021).
std::vector<PageRuns> loading_groups(const PageTrace& recorded, size_t group_pages,
                                     uint64_t gap_pages);

}  // namespace thaw
