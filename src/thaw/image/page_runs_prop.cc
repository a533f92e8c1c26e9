// SPDX-License-Identifier: Apache-2.0
//
// The operations on runs against the same ones on std::set.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "thaw/image/page_runs.h"

namespace thaw {
namespace {

std::vector<uint32_t> some_pages() {
  return *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 60));
}

std::set<uint32_t> set_of(std::span<const PageRun> runs) {
  std::set<uint32_t> pages;
  for (const PageRun& run : runs) {
    for (uint64_t page = run.page; page < run.end(); ++page) {
      pages.insert(static_cast<uint32_t>(page));
    }
  }
  return pages;
}

void must_be_normal(std::span<const PageRun> runs) {
  for (size_t i = 0; i < runs.size(); ++i) {
    RC_ASSERT(runs[i].count > 0);
    if (i > 0) RC_ASSERT(runs[i].page > runs[i - 1].end());
  }
}

RC_GTEST_PROP(PageRuns, TheOperationsAreThoseOfSets, ()) {
  const std::vector<uint32_t> pages_a = some_pages();
  const std::vector<uint32_t> pages_b = some_pages();
  const std::set<uint32_t> a(pages_a.begin(), pages_a.end());
  const std::set<uint32_t> b(pages_b.begin(), pages_b.end());
  const PageRuns runs_a = runs_of(pages_a);
  const PageRuns runs_b = runs_of(pages_b);
  RC_ASSERT(set_of(runs_a) == a);
  RC_ASSERT(count_pages(runs_a) == a.size());

  std::set<uint32_t> both;
  std::set<uint32_t> either = a;
  std::set<uint32_t> only_a;
  std::ranges::set_intersection(a, b, std::inserter(both, both.end()));
  either.insert(b.begin(), b.end());
  std::ranges::set_difference(a, b, std::inserter(only_a, only_a.end()));
  RC_ASSERT(set_of(intersect(runs_a, runs_b)) == both);
  RC_ASSERT(set_of(unite(runs_a, runs_b)) == either);
  RC_ASSERT(set_of(subtract(runs_a, runs_b)) == only_a);
  for (const PageRuns& runs :
       {runs_a, intersect(runs_a, runs_b), unite(runs_a, runs_b), subtract(runs_a, runs_b)}) {
    must_be_normal(runs);
  }
  for (uint32_t page = 0; page < 64; ++page) {
    RC_ASSERT(contains_page(runs_a, page) == a.contains(page));
  }
}

}  // namespace
}  // namespace thaw
