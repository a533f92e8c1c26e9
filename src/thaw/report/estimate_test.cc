// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/estimate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace thaw {
namespace {

TEST(Estimate, OneRoundHasNoInterval) {
  const Estimate one = median_estimate({5});
  EXPECT_EQ(one.value, 5);
  EXPECT_EQ(one.rounds, 1U);
  EXPECT_FALSE(one.interval.has_value());
}

TEST(Estimate, TheIntervalHoldsTheMedianAndIsOfTheValues) {
  const Estimate estimate = median_estimate({1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(estimate.value, 5);
  ASSERT_TRUE(estimate.interval);
  EXPECT_GE(estimate.interval->low, 1);
  EXPECT_LT(estimate.interval->low, 5);
  EXPECT_GT(estimate.interval->high, 5);
  EXPECT_LE(estimate.interval->high, 9);
}

TEST(Estimate, ARatioIsThatOfTheMediansAndOfLabCompare) {
  const std::vector<double> a{10, 11, 12}, b{20, 22, 26};
  const Estimate estimate = ratio_estimate(a, b);
  EXPECT_EQ(estimate.value, 2);
  const Interval compared = ratio_interval(a, b);
  EXPECT_EQ(estimate.interval->low, compared.low);
  EXPECT_EQ(estimate.interval->high, compared.high);
}

TEST(Estimate, MeansOverFunctions) {
  const std::vector<double> samples[] = {{1, 1, 1}, {3, 3, 3}};
  EXPECT_EQ(mean_estimate(samples).value, 2);
  // Twice as slow and twice as fast are as fast.
  const std::vector<double> pairs[] = {{10, 10}, {20, 20}, {30, 30, 30}, {15, 15, 15}};
  const Estimate mean = mean_ratio_estimate(pairs);
  EXPECT_NEAR(mean.value, 1, 1e-12);
  EXPECT_EQ(mean.rounds, 2U);
}

TEST(Estimate, ADivisionByNothingIsInfiniteAndKeepsItsOrder) {
  const Estimate ratio = ratio_estimate({0, 0, 1}, {0, 1, 1});
  ASSERT_TRUE(ratio.interval);
  EXPECT_TRUE(std::isinf(ratio.interval->high));
  EXPECT_LE(ratio.interval->low, ratio.interval->high);
}

}  // namespace
}  // namespace thaw
