// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/histogram.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(Histogram, EmptyIsAllZero) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.max(), 0u);
  EXPECT_EQ(empty.percentile(99), 0u);
  EXPECT_EQ(empty.mean(), 0.0);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 50; ++value) histogram.record(value);
  EXPECT_EQ(histogram.count(), 50u);
  EXPECT_EQ(histogram.percentile(0), 1u);
  EXPECT_EQ(histogram.percentile(50), 25u);
  EXPECT_EQ(histogram.percentile(98), 49u);
  EXPECT_EQ(histogram.percentile(100), 50u);
  EXPECT_DOUBLE_EQ(histogram.mean(), 25.5);
}

TEST(Histogram, TheTailIsSeenAtItsPercentileAndNotBefore) {
  Histogram histogram;
  histogram.record(1'000, 999);
  histogram.record(50'000'000);
  EXPECT_LT(histogram.percentile(99.9), 1'032u);
  EXPECT_EQ(histogram.percentile(100), 50'000'000u);
  EXPECT_EQ(histogram.max(), 50'000'000u);
}

TEST(Histogram, TakesTheWholeRangeOf64Bits) {
  Histogram histogram;
  histogram.record(0);
  histogram.record(UINT64_MAX);
  EXPECT_EQ(histogram.percentile(50), 0u);
  EXPECT_EQ(histogram.percentile(100), UINT64_MAX);
}

TEST(Histogram, RecordingNothingChangesNothing) {
  Histogram histogram;
  histogram.record(123, 0);
  EXPECT_EQ(histogram, Histogram());
}

}  // namespace
}  // namespace thaw
