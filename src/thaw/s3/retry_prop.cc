// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "thaw/s3/retry.h"
#include "thaw/s3/token_bucket.h"

namespace thaw {
namespace {

using std::chrono::milliseconds;

RC_GTEST_PROP(BackoffProp, WaitsAreWithinTheirLimits, (uint64_t seed)) {
  const auto base = *rc::gen::inRange(1, 1000);
  const auto cap = *rc::gen::inRange(base, 100'000);
  Backoff backoff{milliseconds(base), milliseconds(cap), seed};
  Backoff again{milliseconds(base), milliseconds(cap), seed};
  for (unsigned retry = 1; retry <= 100; ++retry) {
    const auto wait = backoff.wait(retry);
    RC_ASSERT(wait.count() >= 0);
    RC_ASSERT(wait <= backoff.limit(retry));
    RC_ASSERT(wait == again.wait(retry));
    RC_ASSERT(backoff.limit(retry) <= milliseconds(cap));
    RC_ASSERT(retry == 1 || backoff.limit(retry) >= backoff.limit(retry - 1));
  }
  RC_ASSERT(backoff.limit(100) == milliseconds(cap));
}

TEST(BackoffTest, DoublesAndSpreadsOverAllOfIt) {
  Backoff backoff(milliseconds(50), milliseconds(1000), 7);
  EXPECT_EQ(backoff.limit(1), milliseconds(50));
  EXPECT_EQ(backoff.limit(2), milliseconds(100));
  EXPECT_EQ(backoff.limit(5), milliseconds(800));
  EXPECT_EQ(backoff.limit(6), milliseconds(1000));
  // Full jitter: every tenth of the interval is met.
  std::array<int, 10> tenths{};
  for (int i = 0; i < 1000; ++i) {
    const double share = std::chrono::duration<double>(backoff.wait(2)) / milliseconds(100);
    ++tenths[static_cast<size_t>(std::min(share * 10, 9.0))];
  }
  for (const int count : tenths) EXPECT_GT(count, 50);
}

RC_GTEST_PROP(TokenBucketProp, ExtrasAreAtMostTheShareAndTheReserve, ()) {
  const double share = *rc::gen::inRange(0, 101) / 100.0;
  const auto reserve = *rc::gen::inRange(0u, 50u);
  TokenBucket bucket(share, reserve);
  double deposits = 0;
  double taken = 0;
  for (const bool deposit : *rc::gen::arbitrary<std::vector<bool>>()) {
    if (deposit) {
      bucket.deposit();
      ++deposits;
    } else if (bucket.take()) {
      ++taken;
    }
    RC_ASSERT(taken <= reserve + share * deposits + 1e-6);
  }
}

TEST(TokenBucketTest, GivesItsReserveThenItsShare) {
  TokenBucket bucket(0.1, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take());
  EXPECT_FALSE(bucket.take());
  for (int i = 0; i < 10; ++i) bucket.deposit();
  EXPECT_TRUE(bucket.take());
  EXPECT_FALSE(bucket.take());
  for (int i = 0; i < 1000; ++i) bucket.deposit();  // not saved up beyond the reserve
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take());
  EXPECT_FALSE(bucket.take());

  TokenBucket none(0, 0);
  for (int i = 0; i < 1000; ++i) none.deposit();
  EXPECT_FALSE(none.take());
}

}  // namespace
}  // namespace thaw
