// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace thaw {
namespace {

constexpr int kDraws = 200'000;

// Figures of one machine, which every other has to repeat.
TEST(FleetDrawsTest, TheSameOnEveryMachine) {
  FleetDraws draws(1, DrawPurpose::kArrivals);
  EXPECT_EQ(draws.bits(), 10276022874973721191u);
  EXPECT_EQ(draws.below(1000), 684u);
  EXPECT_EQ(std::llround(draws.exponential(1e9)), 27'087'574);
  ZipfRanks ranks(1000, 1.0);
  std::vector<uint32_t> first;
  for (int i = 0; i < 6; ++i) first.push_back(ranks.draw(draws));
  EXPECT_EQ(first, (std::vector<uint32_t>{126, 8, 141, 571, 12, 138}));
}

TEST(FleetDrawsTest, RanksFollowZipf) {
  FleetDraws draws(2, DrawPurpose::kArrivals);
  ZipfRanks ranks(50, 1.2);
  std::vector<int> counts(50);
  for (int i = 0; i < kDraws; ++i) ++counts[ranks.draw(draws)];
  for (const uint32_t rank : {0U, 1U, 4U, 20U}) {
    const double expected = counts[0] * std::pow(rank + 1.0, -1.2);
    EXPECT_NEAR(counts[rank], expected, 5 * std::sqrt(expected)) << rank;
  }
}

TEST(FleetDrawsTest, GapsHaveTheirMean) {
  FleetDraws draws(3, DrawPurpose::kArrivals);
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) sum += draws.exponential(20);
  EXPECT_NEAR(sum / kDraws, 20, 0.3);
}

// The order statistics against draws of the single answers.
TEST(LatencyTableTest, TheFourthOfFiveOfSixteen) {
  const LatencyShape shape = *latency_preset("zone");
  const LatencyTable one(shape, 1, 1, 1);
  EXPECT_NEAR(static_cast<double>(one.at(0.5)), 550'000, 1000);
  EXPECT_NEAR(static_cast<double>(one.at(0.99)), 2'000'000, 20'000);
  const LatencyTable table(shape, 4, 5, 16);
  FleetDraws draws(4, DrawPurpose::kLatency);
  std::vector<int64_t> simulated;
  for (int i = 0; i < 4000; ++i) {
    int64_t latest = 0;
    for (int chunk = 0; chunk < 16; ++chunk) {
      std::vector<int64_t> stripes;
      for (int stripe = 0; stripe < 5; ++stripe) stripes.push_back(one.draw(draws));
      std::nth_element(stripes.begin(), stripes.begin() + 3, stripes.end());
      latest = std::max(latest, stripes[3]);
    }
    simulated.push_back(latest);
  }
  std::sort(simulated.begin(), simulated.end());
  for (const double quantile : {0.1, 0.5, 0.9}) {
    const auto at = static_cast<size_t>(quantile * static_cast<double>(simulated.size()));
    EXPECT_NEAR(static_cast<double>(table.at(quantile)), static_cast<double>(simulated[at]),
                0.04 * static_cast<double>(simulated[at]))
        << quantile;
  }
  const LatencyTable none(LatencyShape{}, 4, 5, 1);
  EXPECT_EQ(none.draw(draws), 0);
}

}  // namespace
}  // namespace thaw
