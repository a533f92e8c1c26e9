// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "thaw/image/hot_layout.h"

namespace thaw {
namespace {

std::vector<uint32_t> pages_of(const PageRuns& runs) {
  std::vector<uint32_t> pages;
  for (const PageRun& run : runs) {
    for (uint64_t page = run.page; page < run.end(); ++page) {
      pages.push_back(static_cast<uint32_t>(page));
    }
  }
  return pages;
}

RC_GTEST_PROP(HotLayout, EachPageOnceStageAfterStageSortedInside, ()) {
  const auto count = *rc::gen::inRange<uint32_t>(0, 400);
  std::vector<uint32_t> order(count * 2);
  std::iota(order.begin(), order.end(), 0u);
  std::mt19937 random(*rc::gen::arbitrary<uint32_t>());
  std::ranges::shuffle(order, random);
  order.resize(count);
  const uint64_t capacity = uint64_t{1} << *rc::gen::inRange(2, 9);
  StageSizes sizes;
  sizes.first_pages = *rc::gen::inRange<uint64_t>(1, 50);
  sizes.pages_max = sizes.first_pages * *rc::gen::inRange<uint64_t>(1, 9);

  const std::vector<PageRuns> chunks = plan_stages(order, capacity, sizes);
  size_t chunk = 0;
  size_t begin = 0;
  for (uint64_t stage = sizes.first_pages; begin < order.size();
       stage = std::min(stage * 2, sizes.pages_max)) {
    const size_t end = std::min<size_t>(begin + stage, order.size());
    std::vector<uint32_t> wanted(order.begin() + begin, order.begin() + end);
    std::ranges::sort(wanted);
    std::vector<uint32_t> planned;
    while (planned.size() < wanted.size()) {
      RC_ASSERT(chunk < chunks.size());
      const std::vector<uint32_t> pages = pages_of(chunks[chunk++]);
      RC_ASSERT(!pages.empty() && pages.size() <= capacity);
      planned.insert(planned.end(), pages.begin(), pages.end());
    }
    RC_ASSERT(planned == wanted);
    begin = end;
  }
  RC_ASSERT(chunk == chunks.size());
}

RC_GTEST_PROP(HotLayout, DensePackingAndWindowsKeepEachPageInOrder, ()) {
  const PageRuns pages =
      runs_of(*rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 500)));
  const uint64_t capacity = uint64_t{1} << *rc::gen::inRange(2, 7);
  for (const bool dense : {true, false}) {
    const auto chunks = dense ? pack_densely(pages, capacity) : cut_windows(pages, capacity);
    std::vector<uint32_t> all;
    for (size_t i = 0; i < chunks.size(); ++i) {
      const std::vector<uint32_t> mine = pages_of(chunks[i]);
      RC_ASSERT(!mine.empty() && mine.size() <= capacity);
      if (dense) RC_ASSERT(mine.size() == capacity || i + 1 == chunks.size());
      if (!dense) RC_ASSERT(mine.front() / capacity == mine.back() / capacity);
      all.insert(all.end(), mine.begin(), mine.end());
    }
    RC_ASSERT(all == pages_of(pages));
  }
}

TEST(HotLayout, TheDefaultStagesDouble) {
  std::vector<uint32_t> order(256 + 512 + 1024 + 2048 + 2048 + 3);
  std::iota(order.rbegin(), order.rend(), 0u);
  const std::vector<PageRuns> chunks = plan_stages(order, 2048);
  std::vector<uint64_t> sizes;
  for (const PageRuns& chunk : chunks) sizes.push_back(count_pages(chunk));
  EXPECT_EQ(sizes, (std::vector<uint64_t>{256, 512, 1024, 2048, 2048, 3}));
  EXPECT_EQ(chunks[0], (PageRuns{{order.size() - 256, 256}}));
}

}  // namespace
}  // namespace thaw
