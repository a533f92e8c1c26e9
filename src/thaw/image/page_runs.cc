// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_runs.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {

void append_run(PageRuns& runs, PageRun run) {
  if (run.count == 0) return;
  if (!runs.empty() && run.page == runs.back().end()) {
    runs.back().count += run.count;
    return;
  }
  DCHECK(runs.empty() || run.page > runs.back().end());
  runs.push_back(run);
}

PageRuns runs_of(std::vector<uint32_t> pages) {
  std::ranges::sort(pages);
  PageRuns runs;
  for (const uint32_t page : pages) {
    if (!runs.empty() && page + uint64_t{1} == runs.back().end()) continue;  // the same page again
    append_run(runs, {page, 1});
  }
  return runs;
}

PageRuns unite(std::span<const PageRun> a, std::span<const PageRun> b) {
  PageRuns united;
  while (!a.empty() || !b.empty()) {
    std::span<const PageRun>& first =
        b.empty() || (!a.empty() && a.front().page <= b.front().page) ? a : b;
    const PageRun run = first.front();
    first = first.subspan(1);
    if (!united.empty() && run.page <= united.back().end()) {
      united.back().count = std::max(united.back().end(), run.end()) - united.back().page;
    } else {
      united.push_back(run);
    }
  }
  return united;
}

PageRuns intersect(std::span<const PageRun> a, std::span<const PageRun> b) {
  PageRuns common;
  while (!a.empty() && !b.empty()) {
    const uint64_t begin = std::max(a.front().page, b.front().page);
    const uint64_t end = std::min(a.front().end(), b.front().end());
    if (begin < end) append_run(common, {begin, end - begin});
    if (a.front().end() <= b.front().end()) {
      a = a.subspan(1);
    } else {
      b = b.subspan(1);
    }
  }
  return common;
}

PageRuns subtract(std::span<const PageRun> a, std::span<const PageRun> b) {
  PageRuns left;
  for (const PageRun& run : a) {
    uint64_t page = run.page;
    while (!b.empty() && b.front().end() <= page) b = b.subspan(1);
    for (size_t i = 0; i < b.size() && b[i].page < run.end(); ++i) {
      if (b[i].page > page) append_run(left, {page, b[i].page - page});
      page = b[i].end();
    }
    if (page < run.end()) append_run(left, {page, run.end() - page});
  }
  return left;
}

uint64_t count_pages(std::span<const PageRun> runs) {
  uint64_t pages = 0;
  for (const PageRun& run : runs) pages += run.count;
  return pages;
}

bool contains_page(std::span<const PageRun> runs, uint64_t page) {
  const auto after = std::ranges::upper_bound(runs, page, {}, &PageRun::page);
  return after != runs.begin() && page < std::prev(after)->end();
}

PageRuns data_pages_of(const PageMap& map) {
  PageRuns runs;
  for (const Extent& extent : map.extents()) append_run(runs, {extent.page, extent.count});
  return runs;
}

PageRuns zero_pages_among(std::span<const PageRun> pages, const PageMap& map) {
  return subtract(pages, data_pages_of(map));
}

}  // namespace thaw
