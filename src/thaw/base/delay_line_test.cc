// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/delay_line.h"

#include <gtest/gtest.h>

#include <latch>
#include <vector>

namespace thaw {
namespace {

using std::chrono::milliseconds;

TEST(DelayLine, RunsTasksInTheOrderOfTheirTimesAndNotBefore) {
  const DelayLine::Time begin = std::chrono::steady_clock::now();
  std::vector<int> order;
  std::latch ran(3);
  DelayLine line;
  for (const int delay : {30, 10, 20}) {
    line.run_at(begin + milliseconds(delay), [&, delay] {
      EXPECT_GE(std::chrono::steady_clock::now(), begin + milliseconds(delay));
      order.push_back(delay);
      ran.count_down();
    });
  }
  ran.wait();
  EXPECT_EQ(order, (std::vector<int>{10, 20, 30}));
}

TEST(DelayLine, ClosingRunsWhatWaits) {
  std::vector<int> order;
  {
    DelayLine line;
    const DelayLine::Time now = std::chrono::steady_clock::now();
    line.run_at(now + std::chrono::hours(2), [&] { order.push_back(2); });
    line.run_at(now + std::chrono::hours(1), [&] { order.push_back(1); });
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(DelayLine, ATaskMayAddTasks) {
  std::latch ran(1);
  DelayLine line;
  line.run_at({}, [&] { line.run_at({}, [&] { ran.count_down(); }); });
  ran.wait();
}

}  // namespace
}  // namespace thaw
