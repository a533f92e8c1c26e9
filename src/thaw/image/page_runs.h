// SPDX-License-Identifier: Apache-2.0
//
// Sets of pages as sorted runs: ascending, disjoint, none empty, none touching the next. Cost in
// runs, not in pages, so that a hole of a terabyte is as cheap as one page.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/base/units.h"
#include "thaw/image/page_map.h"

namespace thaw {

using PageRuns = std::vector<PageRun>;

/// Appends a run that begins at or behind the end of the last one; joins it to that if they touch.
void append_run(PageRuns& runs, PageRun run);

/// The set of these pages, which may be in any order and stand twice.
PageRuns runs_of(std::vector<uint32_t> pages);

/// In a or in b; in both; in a and not in b.
PageRuns unite(std::span<const PageRun> a, std::span<const PageRun> b);
PageRuns intersect(std::span<const PageRun> a, std::span<const PageRun> b);
PageRuns subtract(std::span<const PageRun> a, std::span<const PageRun> b);

uint64_t count_pages(std::span<const PageRun> runs);
/// Binary search.
bool contains_page(std::span<const PageRun> runs, uint64_t page);

/// The pages of a map, neighbours joined.
PageRuns data_pages_of(const PageMap& map);
/// Of `pages` those that no extent covers.
PageRuns zero_pages_among(std::span<const PageRun> pages, const PageMap& map);

}  // namespace thaw
