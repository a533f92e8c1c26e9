// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/circuit_breaker.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

using State = CircuitBreaker::State;
using std::chrono::milliseconds;

constexpr CircuitBreaker::Time kStart{std::chrono::hours(1)};
constexpr BreakerOptions kOptions{3, 100, 1000, 4};

void fail_times(CircuitBreaker& breaker, int times, CircuitBreaker::Time now) {
  for (int i = 0; i < times; ++i) breaker.on_failure(now);
}

TEST(CircuitBreaker, OpensAfterFailuresInARowOnly) {
  CircuitBreaker breaker(kOptions, 1);
  fail_times(breaker, 2, kStart);
  breaker.on_success();
  fail_times(breaker, 2, kStart);
  EXPECT_EQ(breaker.state(), State::kClosed);
  breaker.on_failure(kStart);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.times_opened(), 1U);
}

TEST(CircuitBreaker, CoolsDownForAJitteredWhile) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CircuitBreaker breaker(kOptions, seed);
    fail_times(breaker, 3, kStart);
    EXPECT_GE(breaker.probe_at(), kStart + milliseconds(75));
    EXPECT_LE(breaker.probe_at(), kStart + milliseconds(125));
    EXPECT_FALSE(breaker.begin_probe(breaker.probe_at() - milliseconds(1)));
    EXPECT_EQ(breaker.state(), State::kOpen);
    EXPECT_TRUE(breaker.begin_probe(breaker.probe_at()));
    EXPECT_EQ(breaker.state(), State::kProbing);
    EXPECT_FALSE(breaker.begin_probe(breaker.probe_at()));
  }
}

TEST(CircuitBreaker, OldAnswersDecideNothing) {
  CircuitBreaker breaker(kOptions, 1);
  fail_times(breaker, 3, kStart);
  breaker.on_success();
  breaker.on_probe_success();
  breaker.on_failure(kStart);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.times_opened(), 1U);
}

TEST(CircuitBreaker, AnAnsweredProbeClosesAFailedOneDoublesTheWait) {
  CircuitBreaker breaker(kOptions, 1);
  fail_times(breaker, 3, kStart);
  CircuitBreaker::Time now = kStart;
  for (const int wait_ms : {200, 400, 800, 1000, 1000, 1000}) {
    now = breaker.probe_at();
    ASSERT_TRUE(breaker.begin_probe(now));
    breaker.on_failure(now);
    ASSERT_EQ(breaker.state(), State::kOpen);
    EXPECT_GE(breaker.probe_at() - now, milliseconds(wait_ms * 3 / 4));
    EXPECT_LE(breaker.probe_at() - now, milliseconds(wait_ms * 5 / 4));
  }
  ASSERT_TRUE(breaker.begin_probe(breaker.probe_at()));
  breaker.on_probe_success();
  EXPECT_EQ(breaker.state(), State::kClosed);
}

TEST(CircuitBreaker, TheDoublingIsForgottenAfterALongEnoughSuccess) {
  for (const bool enough : {true, false}) {
    CircuitBreaker breaker(kOptions, 1);
    fail_times(breaker, 3, kStart);
    ASSERT_TRUE(breaker.begin_probe(breaker.probe_at()));
    breaker.on_failure(kStart);
    ASSERT_TRUE(breaker.begin_probe(breaker.probe_at()));
    breaker.on_probe_success();
    for (int i = 0; i < (enough ? 4 : 3); ++i) breaker.on_success();
    fail_times(breaker, 3, kStart);
    EXPECT_EQ(breaker.probe_at() - kStart <= milliseconds(125), enough);
  }
}

TEST(CircuitBreaker, OptionsAreChecked) {
  EXPECT_TRUE(BreakerOptions{}.validate());
  EXPECT_FALSE((BreakerOptions{0, 1, 1, 1}.validate()));
  EXPECT_FALSE((BreakerOptions{1, 0, 1, 1}.validate()));
  EXPECT_FALSE((BreakerOptions{1, 2, 1, 1}.validate()));
}

}  // namespace
}  // namespace thaw
