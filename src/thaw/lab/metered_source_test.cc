// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/metered_source.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "thaw/testing/held_source.h"

namespace thaw {
namespace {

TEST(MeteredSource, CountsUntilTheAnswerComes) {
  HeldSource held;
  MeteredSource metered(held);
  bool answered = false;
  ChunkRequest request;
  request.pages = 1;
  metered.fetch(request, [&](const Result<ChunkRef>& came) { answered = came.has_value(); });
  EXPECT_EQ(metered.counters().fetches, 1U);
  EXPECT_EQ(metered.counters().fetch_ns, 0U);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  held.complete_one();
  EXPECT_TRUE(answered);
  EXPECT_GE(metered.counters().fetch_ns, 2'000'000U);
}

TEST(MeteredSource, APartThatIsRefusedIsNoFetch) {
  HeldSource held;
  MeteredSource metered(held);
  EXPECT_FALSE(metered.fetch_part({}, {0, 1}, [](const auto&) { FAIL(); }));
  EXPECT_EQ(metered.counters().fetches, 0U);
  EXPECT_EQ(metered.lookup({}), nullptr);
  EXPECT_EQ(metered.counters().memory_bytes, 0U);
}

}  // namespace
}  // namespace thaw
