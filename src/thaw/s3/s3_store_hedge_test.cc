// SPDX-License-Identifier: Apache-2.0
//
// S3Store's hedges: a read that is late is asked for again, the first answer wins, and they stay
// few.
#include <chrono>

#include "thaw/s3/s3_store_fault_test.h"

namespace thaw {
namespace {

TEST_F(S3StoreFaultTest, ALateReadIsHedgedAndTheFirstAnswerWins) {
  const Bytes bytes = object("k");
  options_.hedge_percentile = 95;
  Bytes out(bytes.size());
  for (size_t i = 0; i < HedgePolicy::kWindow; ++i) ASSERT_TRUE(store().get_into("k", out));
  EXPECT_LE(counters().hedges, HedgePolicy::kWindow / 20 + 8);
  const uint64_t hedges = counters().hedges;
  const uint64_t wins = counters().hedge_wins;
  // The request that comes next stalls after its headers; the one after it does not.
  server_->set_chaos({.stall_rate = 1, .count = 1});
  std::fill(out.begin(), out.end(), std::byte{0});
  const auto got = store().get_into("k", out);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(counters().hedges, hedges + 1);
  EXPECT_EQ(counters().hedge_wins, wins + 1);
  EXPECT_EQ(counters().retries, 0u);
}

TEST_F(S3StoreFaultTest, HedgesStayInTheirShare) {
  const Bytes bytes = object("k", 1000);
  options_.hedge_percentile = 50;  // as many are late as can be
  options_.hedge_share = 0.05;
  options_.hedge_reserve = 2;
  server_->set_chaos({.seed = 5, .delay = std::chrono::microseconds(2000), .delay_rate = 0.5});
  constexpr uint64_t kReads = 400;
  for (uint64_t i = 0; i < kReads; ++i) {
    Bytes out(bytes.size());
    ASSERT_TRUE(store().get_into("k", out));
    ASSERT_EQ(out, bytes);
  }
  EXPECT_LE(server_->gets_of("k"), kReads + 2 + kReads / 20);
  EXPECT_GT(counters().hedges, 0u);
}

/// A plan whose first request is late and meets `first`, and whose second meets `second` at once.
S3Chaos late_then(S3Fault first, S3Fault second) {
  S3Chaos plan{.error_rate = 0.3,
               .forbid_rate = 0.3,
               .delay = std::chrono::milliseconds(100),
               .delay_rate = 0.5,
               .count = 2};
  while (true) {
    S3Fates fates(plan);
    const S3Fate one = fates.next(S3Operation::kGet, "k");
    const S3Fate two = fates.next(S3Operation::kGet, "k");
    if (one.fault == first && one.delayed && two.fault == second && !two.delayed) return plan;
    ++plan.seed;
  }
}

TEST_F(S3StoreFaultTest, AHedgeThatFailsDoesNoHarm) {
  const Bytes bytes = object("k");
  options_.hedge_percentile = 95;
  Bytes out(bytes.size());
  for (size_t i = 0; i < HedgePolicy::kWindow; ++i) ASSERT_TRUE(store().get_into("k", out));
  const uint64_t hedges = counters().hedges;
  const uint64_t wins = counters().hedge_wins;
  server_->set_chaos(late_then(S3Fault::kNone, S3Fault::kForbid));
  std::fill(out.begin(), out.end(), std::byte{0});
  const auto got = store().get_into("k", out);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(counters().hedges, hedges + 1);
  EXPECT_EQ(counters().hedge_wins, wins);
  EXPECT_EQ(counters().denials, 1u);

  // Of two failures the final one counts, and nothing is repeated.
  server_->set_chaos(late_then(S3Fault::kError, S3Fault::kForbid));
  expect_error(store().get_into("k", out), ErrorCode::kDenied, "policy");
  EXPECT_EQ(counters().retries, 0u);

  // Both could pass: the call is repeated.
  server_->set_chaos(late_then(S3Fault::kError, S3Fault::kError));
  std::fill(out.begin(), out.end(), std::byte{0});
  ASSERT_TRUE(store().get_into("k", out));
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(counters().retries, 1u);
}

}  // namespace
}  // namespace thaw
