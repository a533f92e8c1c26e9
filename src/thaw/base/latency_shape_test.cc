// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/latency_shape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace thaw {
namespace {

double ms(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e6; }

TEST(LatencyShape, GoesThroughItsPoints) {
  for (const char* name : {"zone", "origin"}) {
    const LatencyShape shape = *latency_preset(name);
    EXPECT_NEAR(ms(shape.at(0.5)), shape.p50_ms, shape.p50_ms * 0.001);
    EXPECT_NEAR(ms(shape.at(0.99)), shape.p99_ms, shape.p99_ms * 0.001);
    EXPECT_NEAR(ms(shape.at(0.999)), shape.p999_ms, shape.p999_ms * 0.001);
    EXPECT_GE(ms(shape.at(1e-9)), shape.p50_ms / 2);
  }
  EXPECT_FALSE(latency_preset("moon"));
  EXPECT_EQ(LatencyShape().at(0.99).count(), 0);
}

TEST(ShapedLink, SamplesFollowTheShapeAndTheSeed) {
  const LatencyShape shape = *latency_preset("zone");
  ShapedLink link(shape, 7);
  ShapedLink same(shape, 7);
  ShapedLink other(shape, 8);
  const ShapedLink::Time now{};
  std::vector<double> samples;
  bool differs = false;
  for (int i = 0; i < 20'000; ++i) {
    const ShapedLink::Time arrival = link.arrival(now, 1000);
    ASSERT_EQ(arrival, same.arrival(now, 1000));
    differs |= arrival != other.arrival(now, 1000);
    samples.push_back(ms(arrival - now));
  }
  EXPECT_TRUE(differs);
  std::sort(samples.begin(), samples.end());
  EXPECT_NEAR(samples[10'000], 0.55, 0.02);
  EXPECT_NEAR(samples[19'800], 2.0, 0.25);
}

TEST(ShapedLink, BandwidthMakesAnswersQueue) {
  ShapedLink link({1, 1, 1, 1e6}, 1);
  const ShapedLink::Time now{};
  EXPECT_NEAR(ms(link.arrival(now, 10'000) - now), 11, 0.01);
  EXPECT_NEAR(ms(link.arrival(now, 10'000) - now), 21, 0.01);
  EXPECT_NEAR(ms(link.arrival(now + std::chrono::seconds(1), 10'000) - now), 1011, 0.01);
}

}  // namespace
}  // namespace thaw
