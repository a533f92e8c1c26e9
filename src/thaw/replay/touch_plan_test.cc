// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/touch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "thaw/base/units.h"

namespace thaw {
namespace {

ReplayVmmOptions options_with(ReplayTouching::Order order, unsigned threads) {
  ReplayVmmOptions options;
  options.socket_path = "unused";
  options.image_path = "unused";
  // The second region shows the front of the image: guest order and image order differ.
  options.regions = {{64 * kPageBytes, 64 * kPageBytes}, {32 * kPageBytes, 0}};
  options.touching.order = order;
  options.touching.threads = threads;
  return options;
}

GuestLayout layout_of(const ReplayVmmOptions& options) {
  return GuestLayout(options.regions, options.page_bytes);
}

TEST(GuestLayout, ImagePagesAndGuestPagesAreInverse) {
  const GuestLayout layout = layout_of(options_with(ReplayTouching::Order::kNone, 1));
  EXPECT_EQ(layout.page_count(), 96u);
  EXPECT_EQ(layout.image_page_of(0), 64u);
  EXPECT_EQ(layout.image_page_of(64), 0u);
  for (uint64_t page = 0; page < 96; ++page) {
    EXPECT_EQ(layout.guest_page_of(layout.image_page_of(page)), page);
  }
  EXPECT_FALSE(layout.guest_page_of(32));   // between the regions
  EXPECT_FALSE(layout.guest_page_of(128));  // behind them
}

TEST(TouchPlan, APermutationTouchesEachPageOnceByItsOwner) {
  const ReplayVmmOptions options = options_with(ReplayTouching::Order::kPermutation, 3);
  const GuestLayout layout = layout_of(options);
  const auto plan = make_touch_plan(options, layout);
  ASSERT_TRUE(plan) << plan.error().message;
  std::set<uint64_t> seen;
  for (unsigned thread = 0; thread < 3; ++thread) {
    EXPECT_FALSE(std::is_sorted((*plan)[thread].begin(), (*plan)[thread].end(),
                                [](auto& a, auto& b) { return a.page < b.page; }));
    for (const TouchStep& step : (*plan)[thread]) {
      EXPECT_EQ(owner_of(layout, step.page, 3), thread);
      EXPECT_TRUE(seen.insert(step.page).second);
    }
  }
  EXPECT_EQ(seen.size(), 96u);
}

TEST(TouchPlan, TheSeedDecidesEverything) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kRepeats, 1);
  options.touching.touches = 200;
  options.touching.write_percent = 50;
  options.random_removes = 10;
  const GuestLayout layout = layout_of(options);
  const auto pages_of = [&] {
    std::vector<std::pair<TouchStep::Kind, uint64_t>> pages;
    const auto plan = make_touch_plan(options, layout);
    for (const TouchStep& step : plan->at(0)) {
      pages.emplace_back(step.kind, step.page);
    }
    return pages;
  };
  const auto once = pages_of();
  EXPECT_EQ(once, pages_of());
  options.touching.seed = 2;
  EXPECT_NE(once, pages_of());
}

TEST(TouchPlan, WriteShareIsKept) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kSequential, 1);
  const auto writes = [&] {
    const auto plan = make_touch_plan(options, layout_of(options));
    return std::count_if((*plan)[0].begin(), (*plan)[0].end(),
                         [](auto& step) { return step.kind == TouchStep::Kind::kWrite; });
  };
  EXPECT_EQ(writes(), 0);
  options.touching.write_percent = 100;
  EXPECT_EQ(writes(), 96);
}

TEST(TouchPlan, ATraceNamesImagePagesAndKeepsItsTimes) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kTrace, 1);
  options.touching.trace = {128, {{70, false, 5}, {3, true, 10}}};
  options.touching.replay_gaps = true;
  const auto plan = make_touch_plan(options, layout_of(options));
  ASSERT_TRUE(plan) << plan.error().message;
  const std::vector<TouchStep>& steps = (*plan)[0];
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].page, 6u);
  EXPECT_EQ(steps[0].due_ns, 5u);
  EXPECT_EQ(steps[1].page, 67u);
  EXPECT_EQ(steps[1].due_ns, 15u);
  EXPECT_EQ(steps[1].kind, TouchStep::Kind::kWrite);

  options.touching.trace.events.push_back({40, false, 0});
  EXPECT_FALSE(make_touch_plan(options, layout_of(options)));
}

TEST(TouchPlan, EveryPageIsTouchedIfAsked) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kRepeats, 2);
  options.touching.touches = 20;
  options.touching.every_page = true;
  const auto plan = make_touch_plan(options, layout_of(options));
  std::set<uint64_t> seen;
  for (const auto& steps : *plan) {
    for (const TouchStep& step : steps) seen.insert(step.page);
  }
  EXPECT_EQ(seen.size(), 96u);
}

TEST(TouchPlan, AChangeIsCutByOwnersAndRegionsAndStandsAtItsMoment) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kSequential, 2);
  // Image pages 0..31 are guest pages 64..95, 64..79 are guest pages 0..15: owners alternate by 16.
  options.changes = {{ReplayMapChange::Kind::kRemove, 40, 0, 32},
                     {ReplayMapChange::Kind::kUnmap, 40, 64, 4}};
  const auto plan = make_touch_plan(options, layout_of(options));
  ASSERT_TRUE(plan) << plan.error().message;
  const auto changes_of = [&](unsigned thread) {
    std::vector<TouchStep> changes;
    for (const TouchStep& step : (*plan)[thread]) {
      if (step.kind != TouchStep::Kind::kRead) changes.push_back(step);
    }
    return changes;
  };
  ASSERT_EQ(changes_of(0).size(), 2u);
  EXPECT_EQ(changes_of(0)[0].page, 64u);
  EXPECT_EQ(changes_of(0)[0].count, 16u);
  EXPECT_EQ(changes_of(0)[1].kind, TouchStep::Kind::kUnmap);
  EXPECT_EQ(changes_of(0)[1].count, 4u);
  ASSERT_EQ(changes_of(1).size(), 1u);
  EXPECT_EQ(changes_of(1)[0].page, 80u);
  EXPECT_EQ(changes_of(1)[0].count, 16u);
  // 40 touches come first: pages 0..15 and 32..39 are thread 0's.
  EXPECT_EQ((*plan)[0][24].kind, TouchStep::Kind::kRemove);
  EXPECT_EQ((*plan)[1][16].kind, TouchStep::Kind::kRemove);
}

TEST(TouchPlan, ChangesAreWidenedToHugePages) {
  ReplayVmmOptions options = options_with(ReplayTouching::Order::kNone, 1);
  options.page_bytes = 2 * kMiB;
  options.regions = {{8 * kMiB, 0}};
  options.changes = {{ReplayMapChange::Kind::kRemove, 0, 700, 1}};
  const auto plan = make_touch_plan(options, layout_of(options));
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ((*plan)[0].size(), 1u);
  EXPECT_EQ((*plan)[0][0].page, 512u);
  EXPECT_EQ((*plan)[0][0].count, 512u);
}

}  // namespace
}  // namespace thaw
