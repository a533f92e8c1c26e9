// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/compare_results.h"

#include <gtest/gtest.h>

#include <random>

namespace thaw {
namespace {

Results results_of(const std::string& function, const std::vector<double>& ms) {
  Results results;
  for (size_t i = 0; i < ms.size(); ++i) {
    Measurement each;
    each.cell.function = function;
    each.repetition = i;
    each.resume_ms = {ms[i]};
    results.measurements.push_back(each);
  }
  return results;
}

TEST(CompareResultsTest, MedianOfAnyCount) {
  EXPECT_EQ(median_of({3}), 3);
  EXPECT_EQ(median_of({3, 1}), 2);
  EXPECT_EQ(median_of({9, 1, 2}), 2);
}

TEST(CompareResultsTest, ARealDifferenceIsSeenAndNoiseIsNot) {
  const Results a = results_of("f", {10, 11, 10.5, 10.2, 10.8, 10.1, 10.9});
  const Results same = results_of("f", {10.1, 10.7, 10.6, 10.3, 11, 10, 10.8});
  const Results slower = results_of("f", {13, 13.5, 12.9, 13.2, 13.3, 13.1, 12.8});
  const auto unchanged = compare_results(a, same);
  ASSERT_EQ(unchanged.cells.size(), 1U);
  EXPECT_FALSE(unchanged.cells[0].differs());
  const auto changed = compare_results(a, slower);
  EXPECT_TRUE(changed.cells[0].differs());
  EXPECT_NEAR(changed.cells[0].ratio, 13.1 / 10.5, 1e-9);
  EXPECT_LE(changed.cells[0].interval.low, changed.cells[0].ratio);
  EXPECT_GE(changed.cells[0].interval.high, changed.cells[0].ratio);
}

// A 95 % interval holds the true ratio in about 95 of 100 runs; percentile intervals of few samples
// in somewhat fewer.
TEST(CompareResultsTest, TheIntervalHoldsTheTruthAboutAsOftenAsItSays) {
  std::mt19937_64 random(3);
  const auto draw = [&random](double scale) {
    std::vector<double> values(15);
    for (double& value : values) {
      value = scale * (1 + static_cast<double>(random() % 1'000'000) / 1e6);
    }
    return values;
  };
  int held = 0;
  constexpr int kRuns = 400;
  for (int run = 0; run < kRuns; ++run) {
    const Interval interval = ratio_interval(draw(10), draw(20));
    held += interval.low <= 2 && 2 <= interval.high ? 1 : 0;
  }
  EXPECT_GE(held, kRuns * 88 / 100);
  EXPECT_LE(held, kRuns * 99 / 100);
}

TEST(CompareResultsTest, WarmUpIsLeftOutAndForeignCellsAreCounted) {
  Results a = results_of("f", {100, 10, 10});
  a.measurements[0].warm_up = true;
  Results b = results_of("f", {10, 10});
  const Results foreign = results_of("g", {1});
  b.measurements.push_back(foreign.measurements[0]);
  const auto comparison = compare_results(a, b);
  ASSERT_EQ(comparison.cells.size(), 1U);
  EXPECT_EQ(comparison.cells[0].samples_a, 2U);
  EXPECT_EQ(comparison.cells[0].ratio, 1);
  EXPECT_EQ(comparison.only_a, 0U);
  EXPECT_EQ(comparison.only_b, 1U);
}

TEST(CompareResultsTest, ACellIsFoundWhateverHasNoMatterToIt) {
  Results results;
  Measurement measurement;
  measurement.cell.chunk_bytes = 16384;  // of a plain file
  measurement.resume_ms = {3};
  results.measurements.push_back(measurement);
  EXPECT_EQ(samples_of(results, Cell{}), std::vector<double>{3});
  measurement.cell.storage = LabStorage::kChunked;
  results.measurements.push_back(measurement);
  EXPECT_EQ(samples_of(results, Cell{.storage = LabStorage::kChunked}).size(), 0U);
  EXPECT_EQ(samples_of(results, measurement.cell).size(), 1U);
}

}  // namespace
}  // namespace thaw
