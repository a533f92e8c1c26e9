// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/buffer_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

namespace thaw {
namespace {

TEST(BufferPool, NeverHandsOutMoreThanItsBound) {
  BufferPool pool(3, 4096);
  std::atomic<int> out{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        const PooledBuffer buffer = pool.acquire();
        const int now = ++out;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        buffer.data()[4095] = std::byte{1};
        --out;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_EQ(out, 0);
}

TEST(BufferPool, ReusesWhatCameBackAndCountsWaits) {
  BufferPool pool(2, 64);
  std::set<std::byte*> seen;
  for (int i = 0; i < 5; ++i) {
    PooledBuffer first = pool.acquire();
    PooledBuffer second = pool.acquire();
    EXPECT_NE(first.data(), second.data());
    seen.insert({first.data(), second.data()});
    first = std::move(second);          // gives the first one back
    EXPECT_EQ(second.data(), nullptr);  // NOLINT(bugprone-use-after-move): what is tested
  }
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(pool.waits(), 0u);

  PooledBuffer held = pool.acquire();
  PooledBuffer other = pool.acquire();
  std::thread waiter([&] { const PooledBuffer third = pool.acquire(); });
  while (pool.waits() == 0) std::this_thread::yield();
  held = {};
  waiter.join();
  EXPECT_EQ(pool.waits(), 1u);
}

}  // namespace
}  // namespace thaw
