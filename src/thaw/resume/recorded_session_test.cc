// SPDX-License-Identifier: Apache-2.0
//
// What a session records, against replay VMMs whose touches are known and that check every byte.
#include <numeric>
#include <random>

#include "thaw/resume/served_vmm_test.h"

namespace thaw {
namespace {

constexpr uint64_t kPages = 1024;

class RecordedSessionTest : public ServedVmmTest {
 protected:
  void SetUp() override {
    ServedVmmTest::SetUp();
    if (!IsSkipped()) freeze({.memory_pages = kPages});
  }

  static PageServerOptions recording(Recorder& recorder) {
    PageServerOptions options;
    options.session.strategy = Strategy::kOnDemand;
    options.session.fill = Fill::kPage;
    options.session.recorder = &recorder;
    return options;
  }

  /// `count` different pages in random order, half of them written, and some of them once more.
  static PageTrace trace(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> pages(kPages);
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    PageTrace trace{kPages, {}};
    for (size_t i = 0; i < count; ++i) {
      trace.events.push_back({pages[i], random() % 2 == 0, 0});
      if (random() % 8 == 0) trace.events.push_back({pages[random() % (i + 1)], true, 0});
    }
    return trace;
  }

  ReplayVmmOptions playing(const PageTrace& trace) const {
    ReplayVmmOptions options = vmm_options();
    options.touching = {};
    options.touching.order = ReplayTouching::Order::kTrace;
    options.touching.trace = trace;
    options.touching.check = ReplayTouching::Check::kAfterTrace;
    return options;
  }

  /// The first touch of each page of the trace.
  static std::vector<std::pair<uint32_t, bool>> first_touches(const PageTrace& trace) {
    std::vector<bool> seen(kPages);
    std::vector<std::pair<uint32_t, bool>> first;
    for (const TraceEvent& event : trace.events) {
      if (seen[event.page]) continue;
      seen[event.page] = true;
      first.emplace_back(static_cast<uint32_t>(event.page), event.write);
    }
    return first;
  }
  static std::vector<std::pair<uint32_t, bool>> touches(const Recording& recording) {
    std::vector<std::pair<uint32_t, bool>> list;
    for (const Touch& touch : recording.touches) list.emplace_back(touch.page, touch.write);
    return list;
  }
};

TEST_F(RecordedSessionTest, RecordsWhatOneThreadTouchedInOrder) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    const PageTrace played = trace(600, seed);
    Recorder recorder(kPages, {});
    serve(recording(recorder));
    const ReplayVmmResult result = run_vmm(playing(played));
    EXPECT_TRUE(result.passed()) << result.describe();
    EXPECT_TRUE(join());
    EXPECT_EQ(touches(recorder.recording()), first_touches(played));
    stop();
  }
}

TEST_F(RecordedSessionTest, GoesOnServingAfterTheEnd) {
  const PageTrace played = trace(600, 4);
  Recorder recorder(kPages, {.pages_max = 50});
  serve(recording(recorder));
  const ReplayVmmResult result = run_vmm(playing(played));
  EXPECT_TRUE(result.passed()) << result.describe();
  EXPECT_TRUE(join());
  EXPECT_EQ(recorder.wait(), RecordEnd::kPages);
  auto expected = first_touches(played);
  expected.resize(50);
  EXPECT_EQ(touches(recorder.recording()), expected);
}

TEST_F(RecordedSessionTest, ThreadsAndRemovalsLoseNoPage) {
  Recorder recorder(kPages, {});
  serve(recording(recorder));
  ReplayVmmOptions options = vmm_options();
  options.random_removes = 40;
  const ReplayVmmResult result = run_vmm(options);
  EXPECT_TRUE(result.passed()) << result.describe();
  EXPECT_TRUE(join());
  // What was given back before its first touch is no page of the snapshot any more.
  EXPECT_LE(recorder.recording().touches.size(), kPages);
  EXPECT_GE(recorder.recording().touches.size() + result.report->pages_removed, kPages);
}

TEST_F(RecordedSessionTest, AHugePageIsTouchedAsAWhole) {
  freeze({.name = "huge", .memory_pages = 1536});
  Recorder recorder(1536, {});
  serve(recording(recorder));
  ReplayVmmOptions options = vmm_options();
  options.touching = {};
  options.touching.order = ReplayTouching::Order::kTrace;
  options.touching.trace = {1536, {{1030, true, 0}, {3, false, 0}}};
  options.page_bytes = 2 * kMiB;
  options.hugetlb = false;
  const ReplayVmmResult result = run_vmm(options);
  if (result.exit == ReplayVmmExit::kUnsupported) GTEST_SKIP() << result.describe();
  const std::vector<Touch> touches = recorder.recording().touches;
  ASSERT_EQ(touches.size() % 512, 0u);
  ASSERT_GE(touches.size(), 512u);
  EXPECT_EQ(touches[0].page, 1024u);
  EXPECT_TRUE(touches[0].write);
  EXPECT_EQ(touches[511].page, 1535u);
}

TEST_F(RecordedSessionTest, WhatWouldBringPagesThatNobodyAskedForIsRefused) {
  Recorder recorder(kPages, {});
  SessionOptions good = recording(recorder).session;
  EXPECT_TRUE(good.validate());
  SessionOptions chunks = good;
  chunks.fill = Fill::kChunk;
  EXPECT_FALSE(chunks.validate());
  SessionOptions strategy = good;
  strategy.strategy = std::nullopt;
  EXPECT_FALSE(strategy.validate());
  PageServerOptions many = recording(recorder);
  many.sessions_max = 0;
  EXPECT_FALSE(many.validate());
}

}  // namespace
}  // namespace thaw
