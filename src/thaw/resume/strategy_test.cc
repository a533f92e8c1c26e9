// SPDX-License-Identifier: Apache-2.0
//
// Plans are checked against the page map and the recordings: what is installed from where.
#include "thaw/resume/strategy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "thaw/resume/resume_image.h"
#include "thaw/resume/working_set_test.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"

namespace thaw {
namespace {

class StrategyTest : public testing::TestWithParam<Layout> {
 protected:
  void SetUp() override {
    snapshot_.emplace(make_snapshot(store_, {.chunk_bytes = 64 * 1024,
                                             .layout = GetParam(),
                                             .hot_chunks = 5,
                                             .memory_pages = 4096,
                                             .mean_run_pages = 3}));
    recorded_ = random_pages(4096, 600, 7);
    image_ = *ResumeImage::make(copy_manifest(), recorded_set(snapshot_->target, recorded_));
  }
  Manifest copy_manifest() const {
    const Bytes bytes =
        *store_.get(manifest_key(snapshot_->target.root_id, snapshot_->target.manifest), kGiB);
    return *decode_manifest(bytes, snapshot_->keys);
  }

  /// Every page that the plan installs, and checks on the way that it is the right one.
  std::set<uint64_t> pages_of(const PrefetchPlan& plan) const {
    std::set<uint64_t> pages;
    const auto take = [&](uint64_t page, uint32_t chunk, uint32_t slot) {
      const PageLocation location = image_->map().locate(page);
      EXPECT_FALSE(location.zero);
      EXPECT_EQ(location.chunk, chunk);
      EXPECT_EQ(location.slot, slot);
      EXPECT_TRUE(pages.insert(page).second) << "page " << page << " is installed twice";
    };
    for (const uint32_t chunk : plan.chunks) {
      for (const uint32_t index : image_->extents_of(chunk)) {
        const Extent& extent = image_->map().extents()[index];
        for (uint32_t i = 0; i < extent.count; ++i) take(extent.page + i, chunk, extent.slot + i);
      }
    }
    for (const Slice& slice : plan.slices) {
      for (const SlotRun& run : slice.runs) {
        for (uint32_t i = 0; i < run.count; ++i) take(run.page + i, slice.chunk, run.slot + i);
      }
    }
    uint64_t zeros_end = 0;
    for (const PageRun& run : plan.zero_runs) {
      EXPECT_GE(run.page, zeros_end);
      zeros_end = run.end();
      for (uint64_t page = run.page; page < run.end(); ++page) {
        EXPECT_TRUE(image_->map().locate(page).zero);
        pages.insert(page);
      }
    }
    EXPECT_EQ(plan.predicted.count(), pages.size());
    for (const uint64_t page : pages) EXPECT_TRUE(plan.predicted.test(page));
    return pages;
  }

  MemoryStore store_;
  std::optional<SnapshotFixture> snapshot_;
  std::vector<uint32_t> recorded_;
  std::shared_ptr<const ResumeImage> image_;
};

TEST_P(StrategyTest, OnDemandLoadsNothing) {
  const PrefetchPlan plan = *plan_prefetch(Strategy::kOnDemand, *image_);
  EXPECT_TRUE(pages_of(plan).empty());
  EXPECT_FALSE(plan.hold_guest);
}

TEST_P(StrategyTest, ReapLoadsExactlyTheRecordedPagesBeforeTheGuestRuns) {
  const PrefetchPlan plan = *plan_prefetch(Strategy::kReap, *image_);
  EXPECT_EQ(pages_of(plan), std::set<uint64_t>(recorded_.begin(), recorded_.end()));
  EXPECT_TRUE(plan.hold_guest);
}

TEST_P(StrategyTest, FaasnapLoadsRecordedPagesAndShortGaps) {
  const PrefetchPlan plan = *plan_prefetch(Strategy::kFaasnap, *image_);
  const std::set<uint64_t> pages = pages_of(plan);
  EXPECT_FALSE(plan.hold_guest);
  std::vector<uint32_t> sorted = recorded_;
  std::ranges::sort(sorted);
  std::set<uint64_t> wanted;
  for (size_t i = 0; i < sorted.size(); ++i) {
    wanted.insert(sorted[i]);
    if (i + 1 == sorted.size() || sorted[i + 1] - sorted[i] > kFaasnapGapPages + 1) continue;
    for (uint32_t page = sorted[i]; page < sorted[i + 1]; ++page) wanted.insert(page);
  }
  EXPECT_EQ(pages, wanted);  // 600 pages are one group
}

TEST_P(StrategyTest, ChunksAreLoadedWholeInOrderOfFirstAccess) {
  const PrefetchPlan plan = *plan_prefetch(Strategy::kChunks, *image_);
  std::vector<uint32_t> wanted;
  for (const uint32_t page : recorded_) {
    const PageLocation location = image_->map().locate(page);
    if (location.zero || std::ranges::find(wanted, location.chunk) != wanted.end()) continue;
    wanted.push_back(location.chunk);
  }
  EXPECT_EQ(plan.chunks, wanted);
  pages_of(plan);
}

TEST_P(StrategyTest, HotLoadsTheHotSetOrElseTheRecordedChunks) {
  const PrefetchPlan plan = *plan_prefetch(Strategy::kHot, *image_);
  const std::set<uint64_t> pages = pages_of(plan);
  if (GetParam() == Layout::kHot) {
    EXPECT_EQ(plan.chunks, (std::vector<uint32_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(plan.zero_runs, image_->manifest().hot.zero_runs);
    return;
  }
  EXPECT_EQ(plan.chunks, plan_prefetch(Strategy::kChunks, *image_)->chunks);
  for (const uint32_t page : recorded_) EXPECT_TRUE(pages.contains(page));
}

TEST_P(StrategyTest, TheDefaultGoesByWhatThereIs) {
  EXPECT_EQ(default_strategy(*image_),
            GetParam() == Layout::kHot ? Strategy::kHot : Strategy::kChunks);
  const auto bare = *ResumeImage::make(copy_manifest());
  EXPECT_EQ(default_strategy(*bare),
            GetParam() == Layout::kHot ? Strategy::kHot : Strategy::kOnDemand);
}

TEST_P(StrategyTest, AWorkingSetIsOnlyOpenedWhereItIsOfUse) {
  const Manifest& manifest = image_->manifest();
  const bool hot = GetParam() == Layout::kHot;
  EXPECT_FALSE(uses_working_set(Strategy::kOnDemand, manifest));
  EXPECT_TRUE(uses_working_set(Strategy::kReap, manifest));
  EXPECT_TRUE(uses_working_set(Strategy::kFaasnap, manifest));
  EXPECT_TRUE(uses_working_set(Strategy::kChunks, manifest));
  EXPECT_EQ(uses_working_set(Strategy::kHot, manifest), !hot);
  EXPECT_EQ(uses_working_set(std::nullopt, manifest), !hot);
}

TEST_P(StrategyTest, WithoutAWorkingSetItSaysWhatToDo) {
  const auto bare = *ResumeImage::make(copy_manifest());
  for (const Strategy strategy : {Strategy::kReap, Strategy::kFaasnap, Strategy::kChunks}) {
    const Result<PrefetchPlan> plan = plan_prefetch(strategy, *bare);
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::kInvalid);
    EXPECT_NE(plan.error().message.find("thaw record"), std::string::npos);
  }
}

TEST_P(StrategyTest, APlanIsMadeOnce) {
  EXPECT_EQ(*image_->plan(Strategy::kReap), *image_->plan(Strategy::kReap));
}

TEST(StrategyWords, GoBothWays) {
  for (const Strategy strategy : {Strategy::kOnDemand, Strategy::kReap, Strategy::kFaasnap,
                                  Strategy::kChunks, Strategy::kHot}) {
    EXPECT_EQ(parse_strategy(to_string(strategy)), strategy);
  }
  EXPECT_FALSE(parse_strategy("warm").has_value());
}

INSTANTIATE_TEST_SUITE_P(Layouts, StrategyTest, testing::Values(Layout::kLinear, Layout::kHot),
                         [](const auto& parameter) {
                           return std::string(to_string(parameter.param));
                         });

}  // namespace
}  // namespace thaw
