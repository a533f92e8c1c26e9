// SPDX-License-Identifier: Apache-2.0
//
// The ranking that made s3_fifo the default. The traces and the policies are deterministic, so
// these are facts about the code, not measurements.
#include "thaw/cache/policy_trace.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

constexpr uint64_t kSeed = 1;
// Of LRU's misses.
constexpr double kScanRatioMax = 0.8;
constexpr double kOtherRatioMax = 1.0;
// The tolerance of "no more misses than": lru_k where it comes down to LRU (loop), and s3_fifo
// where both are equally good (zipf_1.1).
constexpr double kTolerance = 1.01;

TEST(PolicyTrace, TheSameSeedGivesTheSameTraces) {
  const std::vector<PolicyTrace> once = policy_traces(5);
  const std::vector<PolicyTrace> again = policy_traces(5);
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].keys, again[i].keys) << once[i].name;
    EXPECT_GE(once[i].keys.size(), 100'000u);
    EXPECT_LE(once[i].keys.size(), 350'000u);
  }
}

TEST(PolicyTrace, MissesOfPlainCases) {
  const PolicyTrace loop{"", {0, 1, 2, 0, 1, 2, 0, 1, 2}};
  EXPECT_DOUBLE_EQ(miss_ratio(loop, PolicyKind::kLru, 2), 1.0);
  for (const PolicyKind kind : {PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo}) {
    EXPECT_DOUBLE_EQ(miss_ratio(loop, kind, 3), 3.0 / 9);
  }
}

TEST(PolicyTrace, TheDefaultBeatsLruOnScansAndLosesNowhere) {
  for (const PolicyTrace& trace : policy_traces(kSeed)) {
    SCOPED_TRACE(trace.name);
    const double lru = miss_ratio(trace, PolicyKind::kLru, kTraceCapacity);
    const double s3_fifo = miss_ratio(trace, PolicyKind::kS3Fifo, kTraceCapacity);
    const double lru_k = miss_ratio(trace, PolicyKind::kLruK, kTraceCapacity);
    EXPECT_LE(s3_fifo, lru * (trace.name == "cron_scans" ? kScanRatioMax : kOtherRatioMax));
    EXPECT_LE(s3_fifo, lru_k * kTolerance);
    EXPECT_LE(lru_k, lru * kTolerance);
  }
}

TEST(PolicyTrace, TheRankingIsNotOfOneCapacityOrSeed) {
  for (const PolicyTrace& trace : policy_traces(kSeed + 10)) {
    for (const uint32_t capacity : {kTraceCapacity / 2, kTraceCapacity * 2}) {
      SCOPED_TRACE(trace.name + " " + std::to_string(capacity));
      EXPECT_LE(miss_ratio(trace, PolicyKind::kS3Fifo, capacity),
                miss_ratio(trace, PolicyKind::kLru, capacity) * kOtherRatioMax);
    }
  }
}

}  // namespace
}  // namespace thaw
