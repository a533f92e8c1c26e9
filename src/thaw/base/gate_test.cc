// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace thaw {
namespace {

TEST(Gate, ClosingWaitsForThoseInsideAndLetsNobodyIn) {
  Gate gate;
  std::atomic<int> under_way{0};
  std::vector<std::thread> threads;
  std::atomic<bool> refused{false};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (true) {
        const Gate::Pass pass = gate.enter();
        if (!pass) break;
        ++under_way;
        std::this_thread::yield();
        --under_way;
      }
      refused = true;
    });
  }
  gate.close_and_wait();
  EXPECT_EQ(under_way, 0);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(refused);
  EXPECT_FALSE(gate.enter());
}

TEST(Gate, APassTravels) {
  Gate gate;
  Gate::Pass pass = gate.enter();
  Gate::Pass moved = std::move(pass);
  EXPECT_TRUE(moved);
  moved = Gate::Pass();
  gate.close_and_wait();  // would hang if the pass were still held
}

}  // namespace
}  // namespace thaw
