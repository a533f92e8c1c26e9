// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/loading_set.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

PageTrace touching(std::initializer_list<uint64_t> pages) {
  PageTrace trace{1000, {}};
  for (const uint64_t page : pages) trace.events.push_back({page, false, 0});
  return trace;
}

TEST(LoadingSet, OneGroupWithoutGapsIsTheRecordedPagesByAddress) {
  const auto groups = loading_groups(touching({7, 3, 4, 3, 900}), SIZE_MAX, 0);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0], (PageRuns{{3, 2}, {7, 1}, {900, 1}}));
}

TEST(LoadingSet, GroupsFollowTheOrderOfFirstTouch) {
  const auto groups = loading_groups(touching({90, 80, 10, 11}), 2, 0);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0], (PageRuns{{80, 1}, {90, 1}}));
  EXPECT_EQ(groups[1], (PageRuns{{10, 2}}));
}

TEST(LoadingSet, AGapIsLoadedAlongAndNoPageTwice) {
  const auto groups = loading_groups(touching({10, 14, 12, 30, 16}), 2, 3);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0], (PageRuns{{10, 5}}));
  EXPECT_EQ(groups[1], (PageRuns{{30, 1}}));  // 12 came with the gap
  EXPECT_EQ(groups[2], (PageRuns{{16, 1}}));
  // One more page than the gap: two regions.
  EXPECT_EQ(loading_groups(touching({10, 15}), 9, 3)[0].size(), 2U);
}

TEST(LoadingSet, ATraceWithoutTouchesHasNone) {
  EXPECT_TRUE(loading_groups(touching({}), 4, 0).empty());
}

}  // namespace
}  // namespace thaw
