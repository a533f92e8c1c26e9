// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/validate_replay.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

/// Seven measurements around `ms`, a little apart.
void measure(Results& results, Technique technique, LabDriver driver, double ms) {
  for (int i = -3; i <= 3; ++i) {
    Measurement measurement;
    measurement.cell.technique = technique;
    measurement.cell.driver = driver;
    measurement.resume_ms = {ms * (1 + 0.001 * i)};
    results.measurements.push_back(measurement);
  }
}

void measure_both(Results& results, Technique technique, double replay_ms, double real_ms) {
  measure(results, technique, LabDriver::kReplay, replay_ms);
  measure(results, technique, LabDriver::kQemu, real_ms);
}

TEST(ValidateReplay, TheSameOrderIsFullCorrelation) {
  Results results;
  measure_both(results, Technique::kPresent, 2, 60);
  measure_both(results, Technique::kMapping, 102, 110);
  measure_both(results, Technique::kStudyReap, 12, 75);
  measure_both(results, Technique::kStudyOnDemand, 202, 160);
  const auto validations = validate_replay(results);
  ASSERT_EQ(validations.size(), 1U);
  const ReplayValidation& found = validations[0];
  EXPECT_EQ(found.function, "json");
  ASSERT_EQ(found.cells.size(), 3U);
  EXPECT_EQ(found.cells[0].cell.technique, Technique::kStudyReap);
  EXPECT_DOUBLE_EQ(found.cells[0].replay_extra_ms, 10);
  EXPECT_DOUBLE_EQ(found.cells[0].real_extra_ms, 15);
  EXPECT_EQ(found.same_order, 3U);
  EXPECT_EQ(found.other_order + found.undecided, 0U);
  EXPECT_DOUBLE_EQ(found.rank_correlation, 1);
  EXPECT_DOUBLE_EQ(found.extra_ratio, 0.5);
  EXPECT_DOUBLE_EQ(found.extra_ratio_low, 0.5);
  EXPECT_DOUBLE_EQ(found.extra_ratio_high, 1.5);
}

TEST(ValidateReplay, AnotherOrderAndWhatCannotBeToldAreCounted) {
  Results results;
  measure_both(results, Technique::kPresent, 2, 60);
  measure_both(results, Technique::kMapping, 10, 100);
  measure_both(results, Technique::kStudyReap, 20, 80);
  measure_both(results, Technique::kStudyOnDemand, 30, 80);
  const auto validations = validate_replay(results);
  ASSERT_EQ(validations.size(), 1U);
  EXPECT_EQ(validations[0].same_order, 0U);
  EXPECT_EQ(validations[0].other_order, 2U);
  EXPECT_EQ(validations[0].undecided, 1U);
  EXPECT_LT(validations[0].rank_correlation, -0.8);
}

TEST(ValidateReplay, WithoutTheFloorOrTheOtherDriverThereIsNone) {
  Results results;
  measure_both(results, Technique::kMapping, 10, 100);
  EXPECT_TRUE(validate_replay(results).empty());
  measure(results, Technique::kPresent, LabDriver::kReplay, 2);
  EXPECT_TRUE(validate_replay(results).empty());
}

}  // namespace
}  // namespace thaw
