// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/install_gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace thaw {
namespace {

// What the gate is for: while it is closed, nobody is inside. `inside` is written by workers
// without any other order between them and the closer, so a hole in the gate is also a race that
// TSan sees.
TEST(InstallGate, NobodyIsInsideAClosedGate) {
  InstallGate gate;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> passes{0};
  std::vector<uint64_t> turns(3, 0);
  std::vector<std::thread> workers;
  for (uint64_t& turn : turns) {
    workers.emplace_back([&gate, &stop, &passes, &turn] {
      while (!stop.load(std::memory_order_relaxed)) {
        const GatePass pass(gate);
        ++turn;  // odd: inside
        ++turn;
        passes.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  // As often as it takes for the workers to have been in between.
  for (int i = 0; i < 2000 || passes < 2000; ++i) {
    gate.close();
    for (const uint64_t turn : turns) ASSERT_EQ(turn % 2, 0u);
    gate.open();
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(turns[0] + turns[1] + turns[2], 2 * passes);
}

}  // namespace
}  // namespace thaw
