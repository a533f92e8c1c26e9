// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/recorder.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace thaw {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A moment long ago, so that a clock that is read by mistake is seen.
constexpr Recorder::Clock::time_point kStart{seconds(1000)};

TEST(Recorder, KeepsEachPageOnceInOrderWithItsTime) {
  Recorder recorder(100, {});
  recorder.begin(kStart);
  recorder.touch({7, 1}, true, kStart + microseconds(5));
  recorder.touch({3, 1}, false, kStart + microseconds(9));
  recorder.touch({7, 1}, false, kStart + microseconds(10));
  recorder.touch({2, 3}, false, kStart + microseconds(20));
  recorder.touch({98, 5}, true, kStart + microseconds(18));  // past the end, and a late clock
  recorder.touch({100, 1}, true, kStart + microseconds(30));
  const Recording expected{{{7, 5, true},
                            {3, 9, false},
                            {2, 20, false},
                            {4, 20, false},
                            {98, 20, true},
                            {99, 20, true}}};
  EXPECT_EQ(recorder.recording(), expected);
  EXPECT_TRUE(recorder.active());
}

TEST(Recorder, TheFirstTouchBeginsIfNobodyDid) {
  Recorder recorder(10, {});
  recorder.touch({1, 1}, false, kStart + seconds(50));
  recorder.begin(kStart);
  recorder.touch({2, 1}, false, kStart + seconds(50) + microseconds(1));
  EXPECT_EQ(recorder.recording(), (Recording{{{1, 0, false}, {2, 1, false}}}));
}

TEST(Recorder, EndsWhenToldAndOnlyOnce) {
  Recorder recorder(10, {});
  recorder.begin(Recorder::Clock::now());
  recorder.touch({1, 1}, false, Recorder::Clock::now());
  recorder.stop(RecordEnd::kTold);
  recorder.stop(RecordEnd::kAbandoned);
  EXPECT_FALSE(recorder.active());
  recorder.touch({2, 1}, false, Recorder::Clock::now());
  EXPECT_EQ(recorder.wait(), RecordEnd::kTold);
  EXPECT_EQ(recorder.recording().touches.size(), 1u);
}

TEST(Recorder, EndsWithItsLastPage) {
  Recorder recorder(10, {.pages_max = 3});
  recorder.touch({4, 6}, false, kStart);
  EXPECT_EQ(recorder.wait(), RecordEnd::kPages);
  EXPECT_EQ(recorder.recording(), (Recording{{{4, 0, false}, {5, 0, false}, {6, 0, false}}}));
}

TEST(Recorder, LimitsOfTimeAreJudgedByTheTouches) {
  Recorder late(10, {.time_max_s = 2});
  late.begin(kStart);
  late.touch({1, 1}, false, kStart + milliseconds(1999));
  late.touch({2, 1}, false, kStart + seconds(2));
  EXPECT_FALSE(late.active());
  late.stop(RecordEnd::kTold);
  EXPECT_EQ(late.wait(), RecordEnd::kTime);
  EXPECT_EQ(late.recording().touches.size(), 1u);

  Recorder quiet(10, {.quiet_ms = 100});
  quiet.begin(kStart);
  quiet.touch({1, 1}, false, kStart + seconds(5));  // quiet counts from the first page only
  quiet.touch({2, 1}, false, kStart + milliseconds(5099));
  quiet.touch({1, 1}, false, kStart + milliseconds(5150));  // nothing new
  quiet.touch({3, 1}, false, kStart + milliseconds(5199));
  EXPECT_FALSE(quiet.active());
  EXPECT_EQ(quiet.wait(), RecordEnd::kQuiet);
  EXPECT_EQ(quiet.recording().touches.size(), 2u);
}

TEST(Recorder, WaitingEndsByItselfAtALimit) {
  Recorder quiet(10, {.quiet_ms = 20});
  std::thread waiter([&] { EXPECT_EQ(quiet.wait(), RecordEnd::kQuiet); });
  quiet.touch({1, 1}, false, Recorder::Clock::now());
  waiter.join();
  Recorder untouched(10, {.quiet_ms = 1, .time_max_s = 1});
  untouched.begin(Recorder::Clock::now());
  EXPECT_EQ(untouched.wait(), RecordEnd::kTime) << "without a page there is no quiet";
  EXPECT_TRUE(untouched.recording().touches.empty());
}

TEST(Recorder, ManyThreadsRecordEachPageOnce) {
  constexpr uint64_t kPages = 20'000;
  Recorder recorder(kPages, {});
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&recorder, i] {
      for (uint64_t n = 0; n < kPages; ++n) {
        recorder.touch({(n * 7919 + i * 5003) % kPages, 1}, false, Recorder::Clock::now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Recording recording = recorder.recording();
  std::set<uint32_t> pages;
  uint32_t us = 0;
  for (const Touch& touch : recording.touches) {
    pages.insert(touch.page);
    EXPECT_GE(touch.us, us);
    us = touch.us;
  }
  EXPECT_EQ(recording.touches.size(), kPages);
  EXPECT_EQ(pages.size(), kPages);
}

TEST(Recorder, OptionsHaveBounds) {
  EXPECT_TRUE(RecorderOptions{}.validate());
  EXPECT_FALSE(RecorderOptions{.pages_max = 0}.validate());
  EXPECT_FALSE(RecorderOptions{.pages_max = kTouchesMax + 1}.validate());
  EXPECT_FALSE(RecorderOptions{.time_max_s = 0}.validate());
  EXPECT_FALSE(RecorderOptions{.time_max_s = kRecordSecondsMax + 1}.validate());
  static_assert(uint64_t{kRecordSecondsMax} * 1'000'000 < uint64_t{1} << 31);
}

}  // namespace
}  // namespace thaw
