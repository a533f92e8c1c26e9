// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/loading_set.h"

#include <algorithm>
#include <unordered_set>

namespace thaw {
namespace {

/// Ascending runs over `pages`, gaps joined; what `loaded` has already is cut out.
PageRuns group_of(std::vector<uint64_t> pages, uint64_t gap_pages, PageRuns& loaded) {
  std::ranges::sort(pages);
  PageRuns runs;
  for (const uint64_t page : pages) {
    if (!runs.empty() && page <= runs.back().end() + gap_pages) {
      runs.back().count = page + 1 - runs.back().page;
    } else {
      runs.push_back({page, 1});
    }
  }
  PageRuns fresh = subtract(runs, loaded);
  loaded = unite(loaded, fresh);
  return fresh;
}

}  // namespace

std::vector<PageRuns> loading_groups(const PageTrace& recorded, size_t group_pages,
                                     uint64_t gap_pages) {
  std::vector<PageRuns> groups;
  PageRuns loaded;
  std::vector<uint64_t> group;
  const auto close = [&] {
    PageRuns runs = group_of(std::move(group), gap_pages, loaded);
    if (!runs.empty()) groups.push_back(std::move(runs));
    group.clear();
  };
  // A trace may have a page again, where it was written after it was read.
  std::unordered_set<uint64_t> seen;
  for (const TraceEvent& event : recorded.events) {
    if (!seen.insert(event.page).second) continue;
    group.push_back(event.page);
    if (group.size() == group_pages) close();
  }
  close();
  return groups;
}

}  // namespace thaw
