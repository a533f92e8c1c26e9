// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "thaw/image/pack_layout.h"

namespace thaw {
namespace {

std::vector<uint32_t> pages_of(const std::vector<PageRuns>& chunks, uint64_t capacity) {
  std::vector<uint32_t> pages;
  for (const PageRuns& chunk : chunks) {
    RC_ASSERT(!chunk.empty() && count_pages(chunk) <= capacity);
    for (const PageRun& run : chunk) {
      for (uint64_t page = run.page; page < run.end(); ++page) {
        pages.push_back(static_cast<uint32_t>(page));
      }
    }
  }
  return pages;
}

/// A map with data in some pages, and a working set in random order.
struct Case {
  PageMap map;
  std::set<uint32_t> data;
  std::vector<WorkingPage> working_set;
};

Case some_case() {
  std::mt19937 random(*rc::gen::arbitrary<uint32_t>());
  const auto pages = *rc::gen::inRange<uint32_t>(1, 4000);
  Case made;
  std::vector<Extent> extents;
  for (uint32_t page = 0; page < pages; ++page) {
    if (random() % 3 == 0) continue;
    extents.push_back({page, 0, 0, 1});
    made.data.insert(page);
  }
  const uint32_t chunk_pages[] = {1};
  made.map = *PageMap::make(pages, std::move(extents), chunk_pages);
  std::vector<uint32_t> order(pages + 10);  // some are out of the memory
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::shuffle(order, random);
  order.resize(random() % order.size());
  if (!order.empty()) order.push_back(order.front());  // and one stands twice
  for (const uint32_t page : order) made.working_set.push_back({page, 0, 1, 0});
  return made;
}

RC_GTEST_PROP(PackLayout, ReapHasTheDataPagesInOrderOfFirstTouch, ()) {
  const Case given = some_case();
  const uint64_t capacity = uint64_t{1} << *rc::gen::inRange(2, 9);
  std::vector<uint32_t> wanted;
  for (const WorkingPage& page : given.working_set) {
    const bool first = std::ranges::find(wanted, page.page) == wanted.end();
    if (given.data.contains(page.page) && first) wanted.push_back(page.page);
  }
  RC_ASSERT(pages_of(plan_pack(PackKind::kReap, given.map, given.working_set, 7, capacity),
                     capacity) == wanted);
}

RC_GTEST_PROP(PackLayout, FaasnapHasEachPageOnceInGroupsThatAreSorted, ()) {
  const Case given = some_case();
  const uint64_t capacity = uint64_t{1} << *rc::gen::inRange(2, 9);
  const auto gap = *rc::gen::inRange<uint32_t>(0, 5);
  const std::vector<uint32_t> pages = pages_of(
      plan_pack(PackKind::kFaasnap, given.map, given.working_set, gap, capacity), capacity);
  const std::set<uint32_t> packed(pages.begin(), pages.end());
  RC_ASSERT(packed.size() == pages.size());
  std::set<uint32_t> recorded;
  for (const WorkingPage& page : given.working_set) {
    if (given.data.contains(page.page)) recorded.insert(page.page);
  }
  for (const uint32_t page : recorded) RC_ASSERT(packed.contains(page));
  for (const uint32_t page : packed) {
    RC_ASSERT(given.data.contains(page));
    // What was not recorded stands in a gap: a recorded page, zero or not, is near.
    if (!recorded.contains(page)) RC_ASSERT(gap > 0);
  }
  if (gap == 0) RC_ASSERT(packed == recorded);
  // As many descents as there are borders of groups at most.
  size_t descents = 0;
  for (size_t i = 1; i < pages.size(); ++i) descents += pages[i] < pages[i - 1];
  RC_ASSERT(descents <= given.working_set.size() / kFaasnapGroupPages);
}

}  // namespace
}  // namespace thaw
