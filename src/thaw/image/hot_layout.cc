// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/hot_layout.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {
namespace {

/// Puts the pages into the slots behind those of `chunk`, which need not be in order of address.
void append_slots(PageRuns& chunk, PageRun run) {
  if (!chunk.empty() && chunk.back().end() == run.page) {
    chunk.back().count += run.count;
  } else {
    chunk.push_back(run);
  }
}

}  // namespace

std::vector<PageRuns> plan_stages(std::span<const uint32_t> pages, uint64_t capacity_pages,
                                  const StageSizes& sizes) {
  CHECK(capacity_pages > 0 && sizes.first_pages > 0 && sizes.first_pages <= sizes.pages_max);
  std::vector<PageRuns> chunks;
  uint64_t stage_pages = sizes.first_pages;
  while (!pages.empty()) {
    const auto stage =
        pages.first(static_cast<size_t>(std::min<uint64_t>(stage_pages, pages.size())));
    for (PageRuns& chunk : pack_densely(runs_of({stage.begin(), stage.end()}), capacity_pages)) {
      chunks.push_back(std::move(chunk));
    }
    pages = pages.subspan(stage.size());
    stage_pages = std::min(stage_pages * 2, sizes.pages_max);
  }
  return chunks;
}

std::vector<PageRuns> pack_densely(std::span<const PageRun> pages, uint64_t capacity_pages) {
  std::vector<PageRuns> chunks;
  uint64_t room = 0;
  for (PageRun run : pages) {
    while (run.count > 0) {
      if (room == 0) {
        chunks.emplace_back();
        room = capacity_pages;
      }
      const uint64_t count = std::min(room, run.count);
      append_slots(chunks.back(), {run.page, count});
      room -= count;
      run = {run.page + count, run.count - count};
    }
  }
  return chunks;
}

std::vector<PageRuns> cut_windows(std::span<const PageRun> pages, uint64_t capacity_pages) {
  CHECK(is_power_of_two(capacity_pages));
  std::vector<PageRuns> chunks;
  uint64_t window_end = 0;
  for (PageRun run : pages) {
    while (run.count > 0) {
      if (run.page >= window_end) {
        chunks.emplace_back();
        window_end = align_down(run.page, capacity_pages) + capacity_pages;
      }
      const uint64_t count = std::min(window_end - run.page, run.count);
      append_run(chunks.back(), {run.page, count});
      run = {run.page + count, run.count - count};
    }
  }
  return chunks;
}

}  // namespace thaw
