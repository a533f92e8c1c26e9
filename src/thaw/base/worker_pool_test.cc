// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>

namespace thaw {
namespace {

TEST(WorkerPool, RunsWhatWaitsBeforeItCloses) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool(3, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.submit([&] { ++ran; }, i % 2 == 0));
  }
  EXPECT_EQ(ran, 500);
}

TEST(WorkerPool, UrgentGoesFirst) {
  std::latch hold(1);
  std::latch started(1);
  std::string order;
  {
    WorkerPool pool(1, 10);
    ASSERT_TRUE(pool.submit(
        [&] {
          started.count_down();
          hold.wait();
        },
        false));
    started.wait();
    ASSERT_TRUE(pool.submit([&] { order += "o"; }, false));
    ASSERT_TRUE(pool.submit([&] { order += "u"; }, true));
    hold.count_down();
  }
  EXPECT_EQ(order, "uo");
}

TEST(WorkerPool, AFullQueueRefusesAndCounts) {
  std::latch hold(1);
  std::latch started(1);
  WorkerPool pool(1, 1);
  ASSERT_TRUE(pool.submit(
      [&] {
        started.count_down();
        hold.wait();
      },
      false));
  started.wait();
  EXPECT_TRUE(pool.submit([] {}, false));
  EXPECT_FALSE(pool.submit([] {}, true));
  EXPECT_EQ(pool.refused(), 1u);
  hold.count_down();
}

TEST(WorkerPool, KeepsToItsCores) {
  const unsigned core = CoreSet::allowed().cores().back();
  for (const CoreSet& cores : {CoreSet(), CoreSet{core}, CoreSet{1023}}) {
    // What the machine does not have is no reason not to work.
    const bool confined = cores == CoreSet{core} || CoreSet::allowed().contains(1023);
    CoreSet seen;
    {
      WorkerPool pool(1, 10, cores);
      ASSERT_TRUE(pool.submit([&] { seen = CoreSet::allowed(); }, false));
    }
    EXPECT_EQ(seen, confined && !cores.empty() ? cores : CoreSet::allowed());
  }
}

TEST(WorkerPool, DrainWaitsForWhatWaitsAndRuns) {
  WorkerPool pool(2, 100);
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(pool.submit(
        [&] {
          std::this_thread::yield();
          ++ran;
        },
        false));
  }
  pool.drain();
  EXPECT_EQ(ran, 50);
  EXPECT_EQ(pool.waiting(), 0u);
}

}  // namespace
}  // namespace thaw
