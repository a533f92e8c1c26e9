// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/distribution.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(Distribution, RisesFromNothingToAll) {
  Distribution distribution;
  for (const double value : {4.0, 2.0, 2.0, 8.0}) distribution.add(value);
  const auto points = distribution.points(100);
  ASSERT_EQ(points.size(), 4U);
  EXPECT_EQ(points[0].x, 2);
  EXPECT_EQ(points[0].y, 0);
  EXPECT_EQ(points[1].x, 2);
  EXPECT_EQ(points[1].y, 50);
  EXPECT_EQ(points[2].y, 75);
  EXPECT_EQ(points[3].x, 8);
  EXPECT_EQ(points[3].y, 100);
}

TEST(Distribution, ManyValuesAreThinnedAndKeepTheirEnds) {
  Distribution distribution;
  for (int i = 1; i <= 100'000; ++i) distribution.add(i);
  const auto points = distribution.points(50);
  EXPECT_LE(points.size(), 52U);
  EXPECT_EQ(points.front().y, 0);
  EXPECT_EQ(points.back().x, 100'000);
  EXPECT_EQ(points.back().y, 100);
  for (const FigurePoint& each : points) {
    if (each.y > 0) {
      EXPECT_NEAR(each.y, each.x / 1000, 1e-6);
    }
  }
}

TEST(Distribution, Quantiles) {
  Distribution distribution;
  for (int i = 1; i <= 10; ++i) distribution.add(i);
  EXPECT_EQ(distribution.quantile(5), 1);
  EXPECT_EQ(distribution.quantile(50), 5);
  EXPECT_EQ(distribution.quantile(100), 10);
}

TEST(Distribution, OfQuantilesCountsUpToTheNext) {
  Distribution distribution;
  const double values[] = {1, 2, 10}, percents[] = {50, 90, 100};
  distribution.add_quantiles(values, percents, 1000);
  distribution.add_quantiles(values, percents, 1);  // changes nothing: the same distribution
  EXPECT_EQ(distribution.quantile(50), 1);
  EXPECT_EQ(distribution.quantile(51), 2);
  EXPECT_EQ(distribution.quantile(90), 2);
  EXPECT_EQ(distribution.quantile(99), 10);
}

TEST(Distribution, TheErrorShrinksWithTheRoot) {
  EXPECT_NEAR(distribution_error(100), 13.58, 0.01);
  EXPECT_NEAR(distribution_error(400), 13.58 / 2, 0.01);
}

}  // namespace
}  // namespace thaw
