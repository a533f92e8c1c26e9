// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/pack_layout.h"

#include <algorithm>

#include "thaw/image/hot_layout.h"

namespace thaw {
namespace {

/// The pages in any order as runs in that order, neighbours joined.
PageRuns in_this_order(std::span<const uint32_t> pages) {
  PageRuns runs;
  for (const uint32_t page : pages) {
    if (!runs.empty() && runs.back().end() == page) {
      ++runs.back().count;
    } else {
      runs.push_back({page, 1});
    }
  }
  return runs;
}

/// The set with the gaps of at most `gap_pages` between its runs filled.
PageRuns bridge(std::span<const PageRun> pages, uint32_t gap_pages) {
  PageRuns bridged;
  for (const PageRun& run : pages) {
    if (!bridged.empty() && run.page - bridged.back().end() <= gap_pages) {
      bridged.back().count = run.end() - bridged.back().page;
    } else {
      bridged.push_back(run);
    }
  }
  return bridged;
}

}  // namespace

std::vector<PageRuns> plan_pack(PackKind kind, const PageMap& map,
                                std::span<const WorkingPage> working_set, uint32_t gap_pages,
                                uint64_t capacity_pages) {
  std::vector<uint32_t> order;
  std::vector<bool> seen(static_cast<size_t>(map.page_count()));
  for (const WorkingPage& page : working_set) {
    if (page.page >= map.page_count() || seen[page.page]) continue;
    seen[page.page] = true;
    if (!map.locate(page.page).zero) order.push_back(page.page);
  }
  if (kind == PackKind::kReap) return pack_densely(in_this_order(order), capacity_pages);

  const PageRuns data = data_pages_of(map);
  PageRuns taken;
  std::vector<PageRuns> chunks;
  for (std::span<const uint32_t> left = order; !left.empty();) {
    const auto group = left.first(std::min(kFaasnapGroupPages, left.size()));
    left = left.subspan(group.size());
    // A gap may have a page of an earlier group, or one of a later group, which it takes along.
    const PageRuns wanted = bridge(runs_of({group.begin(), group.end()}), gap_pages);
    const PageRuns pages = subtract(intersect(wanted, data), taken);
    taken = unite(taken, pages);
    for (PageRuns& chunk : pack_densely(pages, capacity_pages)) chunks.push_back(std::move(chunk));
  }
  return chunks;
}

}  // namespace thaw
