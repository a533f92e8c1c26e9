// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/replacement_policy.h"

#include <gtest/gtest.h>

#include "thaw/cache/key_history.h"
#include "thaw/cache/lru_k_policy.h"
#include "thaw/cache/s3_fifo_policy.h"

namespace thaw {
namespace {

const auto kNobody = [](uint32_t) { return false; };

TEST(ReplacementPolicy, NamesAreParsedBack) {
  for (const PolicyKind kind : {PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo}) {
    const Result<PolicyKind> parsed = parse_policy(to_string(kind));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, kind);
  }
  const Result<PolicyKind> wrong = parse_policy("LRU");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalid);
  EXPECT_NE(wrong.error().message.find("s3_fifo"), std::string::npos);
}

class EachPolicy : public testing::TestWithParam<PolicyKind> {};

INSTANTIATE_TEST_SUITE_P(All, EachPolicy,
                         testing::Values(PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo),
                         [](const auto& param_info) {
                           return std::string(to_string(param_info.param));
                         });

TEST_P(EachPolicy, AnEmptyOneHasNoVictim) {
  const auto policy = make_policy(GetParam(), 1);
  EXPECT_EQ(policy->evict(kNobody), std::nullopt);
  policy->inserted(0, 7);
  EXPECT_EQ(policy->size(), 1u);
  EXPECT_EQ(policy->evict(kNobody), 0u);
  EXPECT_EQ(policy->size(), 0u);
  EXPECT_EQ(policy->evict(kNobody), std::nullopt);
}

TEST_P(EachPolicy, AllPinnedHasNoVictimAndOneUnpinnedIsIt) {
  constexpr uint32_t kSlots = 50;
  const auto policy = make_policy(GetParam(), kSlots);
  for (uint32_t slot = 0; slot < kSlots; ++slot) policy->inserted(slot, slot);
  for (uint32_t round = 0; round < 5; ++round) {
    for (uint32_t slot = 0; slot < kSlots; slot += 1 + round) policy->hit(slot);
    EXPECT_EQ(policy->evict([](uint32_t) { return true; }), std::nullopt);
    EXPECT_EQ(policy->size(), kSlots);
  }
  for (uint32_t left = kSlots; left > 0; --left) {
    const uint32_t only = (left * 7) % kSlots;
    const auto victim = policy->evict([&](uint32_t slot) { return slot != only; });
    EXPECT_EQ(victim, only);
    policy->inserted(only, 1000 + only);
  }
}

TEST_P(EachPolicy, EverySlotCanBeDrained) {
  constexpr uint32_t kSlots = 100;
  const auto policy = make_policy(GetParam(), kSlots);
  for (uint32_t slot = 0; slot < kSlots; ++slot) policy->inserted(slot, slot);
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    for (uint32_t times = 0; times < slot % 6; ++times) policy->hit(slot);
  }
  std::vector<bool> left(kSlots, false);
  for (uint32_t i = 0; i < kSlots; ++i) {
    const auto victim = policy->evict(kNobody);
    ASSERT_TRUE(victim);
    EXPECT_FALSE(left[*victim]);
    left[*victim] = true;
  }
  EXPECT_EQ(policy->size(), 0u);
}

TEST(LruKPolicy, OnceReferencedLeaveBeforeTwiceReferenced) {
  LruKPolicy policy(4, {.correlated_part = 0});
  for (uint32_t slot = 0; slot < 4; ++slot) policy.inserted(slot, slot);
  policy.hit(0);  // twice
  policy.hit(2);  // twice, later
  EXPECT_EQ(policy.evict(kNobody), 1u);
  EXPECT_EQ(policy.evict(kNobody), 3u);
  EXPECT_EQ(policy.evict(kNobody), 0u);
}

TEST(LruKPolicy, ReferencesOfOnePeriodCountOnce) {
  LruKPolicy policy(100, {.correlated_part = 10});
  ASSERT_EQ(policy.correlated_period(), 10u);
  policy.inserted(0, 0);
  for (int i = 0; i < 8; ++i) policy.hit(0);  // all correlated with the first
  policy.inserted(1, 1);
  for (uint32_t slot = 2; slot < 20; ++slot) policy.inserted(slot, slot);
  policy.hit(1);  // not correlated
  for (uint32_t slot = 20; slot < 32; ++slot) policy.inserted(slot, slot);
  EXPECT_EQ(policy.evict(kNobody), 0u);
  EXPECT_EQ(policy.evict(kNobody), 2u);
}

TEST(LruKPolicy, AReturningKeyIsKnown) {
  LruKPolicy policy(2, {.correlated_part = 0});
  policy.inserted(0, 77);
  policy.inserted(1, 88);
  EXPECT_EQ(policy.evict(kNobody), 0u);
  policy.inserted(0, 77);  // its second reference
  EXPECT_EQ(policy.evict(kNobody), 1u);
}

TEST(S3FifoPolicy, AScanPassesThroughTheSmallQueue) {
  constexpr uint32_t kSlots = 100;
  S3FifoPolicy policy(kSlots);
  for (uint32_t slot = 0; slot < kSlots; ++slot) policy.inserted(slot, slot);
  for (uint32_t slot = 0; slot < 90; ++slot) {  // the working set
    policy.hit(slot);
    policy.hit(slot);
  }
  for (uint64_t key = 1000; key < 3000; ++key) {
    const auto victim = policy.evict(kNobody);
    ASSERT_TRUE(victim);
    EXPECT_GE(*victim, 90u) << "the scan drove out a slot of the working set";
    policy.inserted(*victim, key);
  }
}

TEST(KeyHistory, ForgetsTheOldestAndGivesOnce) {
  KeyHistory<int> history(3);
  for (int key = 0; key < 4; ++key) history.remember(static_cast<uint64_t>(key), key * 10, 3);
  EXPECT_EQ(history.take(0), std::nullopt);
  EXPECT_EQ(history.take(2), 20);
  EXPECT_EQ(history.take(2), std::nullopt);
  history.remember(1, 11, 3);  // again: the newest now
  history.remember(5, 50, 2);
  EXPECT_EQ(history.take(3), std::nullopt);
  EXPECT_EQ(history.take(1), 11);
  EXPECT_EQ(history.take(5), 50);
}

}  // namespace
}  // namespace thaw
