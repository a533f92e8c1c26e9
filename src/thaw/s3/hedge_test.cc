// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/hedge.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

using std::chrono::milliseconds;

TEST(HedgePolicyTest, WaitsForSamples) {
  HedgePolicy policy(95, 0.05, 1);
  for (size_t i = 1; i < HedgePolicy::kSamplesMin; ++i) {
    policy.record(milliseconds(10));
    EXPECT_EQ(policy.delay(), std::nullopt);
  }
  policy.record(milliseconds(10));
  EXPECT_EQ(policy.delay(), milliseconds(10));
}

TEST(HedgePolicyTest, ThePercentileOfTheWindow) {
  HedgePolicy policy(95, 0.05, 1);
  // 1 to 256 in an order that has nothing to do with their size.
  for (int i = 0; i < 256; ++i) policy.record(milliseconds(i * 101 % 256 + 1));
  ASSERT_TRUE(policy.delay());
  EXPECT_EQ(*policy.delay(), milliseconds(244));  // 243 of 256 are below: 95 %
  // Old samples leave the window.
  for (size_t i = 0; i < HedgePolicy::kWindow; ++i) policy.record(milliseconds(3));
  EXPECT_EQ(*policy.delay(), milliseconds(3));
}

TEST(HedgePolicyTest, HasALeastDelay) {
  HedgePolicy policy(95, 0.05, 1);
  for (size_t i = 0; i < HedgePolicy::kWindow; ++i) policy.record(std::chrono::microseconds(50));
  EXPECT_EQ(*policy.delay(), HedgePolicy::kDelayMin);
}

TEST(HedgePolicyTest, Percentile0IsNever) {
  HedgePolicy policy(0, 1, 100);
  for (size_t i = 0; i < HedgePolicy::kWindow; ++i) policy.record(milliseconds(5));
  EXPECT_EQ(policy.delay(), std::nullopt);
}

TEST(HedgePolicyTest, TheShareBoundsThem) {
  HedgePolicy policy(95, 0.05, 2);
  unsigned taken = 0;
  for (int i = 0; i < 1000; ++i) {
    policy.begin();
    taken += policy.take() ? 1 : 0;
  }
  EXPECT_GE(taken, 50u);
  EXPECT_LE(taken, 52u);
}

}  // namespace
}  // namespace thaw
