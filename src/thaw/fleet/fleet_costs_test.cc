// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_costs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/fleet/measure_costs.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

FleetCosts some() {
  return {.chunk_bytes = 512 * 1024,
          .memory_hit_ns = 1,
          .local_read_ns = 2000,
          .verify_ns = 3000,
          .decrypt_ns = 4000,
          .install_ns = 5000,
          .cpu = "a \"cpu\"",
          .kernel = "6.1",
          .cores = 2,
          .disk = "ext4",
          .at = "2026-01-01T00:00:00Z",
          .thaw_version = "0.1"};
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

TEST(FleetCostsTest, WhatIsWrittenIsRead) {
  const FleetCosts read = decode_costs(encode_costs(some()), "c").value();
  EXPECT_EQ(encode_costs(read), encode_costs(some()));
  EXPECT_EQ(read.install_ns, 5000u);
  EXPECT_EQ(read.cpu, "a \"cpu\"");
}

TEST(FleetCostsTest, OtherSizesCostInProportion) {
  const FleetCosts twice = some().for_bytes(1024 * 1024);
  EXPECT_EQ(twice.verify_ns, 6000u);
  EXPECT_EQ(twice.memory_hit_ns, 1u);
  EXPECT_EQ(some().for_bytes(256 * 1024).local_read_ns, 1000u);
}

TEST(FleetCostsTest, ErrorsSayWhatIsWrong) {
  const auto message = [](const std::string& text) {
    const auto costs = decode_costs(text, "c.json");
    return costs ? "no error" : costs.error().message;
  };
  const std::string good = encode_costs(some());
  EXPECT_EQ(message(good), "no error");
  EXPECT_THAT(message("[]"), AllOf(HasSubstr("c.json"), HasSubstr("--measure")));
  EXPECT_THAT(message("{"), HasSubstr("JSON"));
  EXPECT_THAT(message(replaced(good, "verify_ns", "verify")), HasSubstr("verify_ns is missing"));
  EXPECT_THAT(message(replaced(good, ": 3000", ": -3000")), HasSubstr("verify_ns must be"));
  EXPECT_THAT(message(replaced(good, ": 3000", ": 1e99")), HasSubstr("verify_ns must be"));
  EXPECT_THAT(message(replaced(good, "524288", "500000")), HasSubstr("chunk_bytes"));
  EXPECT_THAT(message(replaced(good, "{", "{\"more\": 1,")), HasSubstr("not known"));
  EXPECT_THAT(message(replaced(good, "measured_on", "measured")), HasSubstr("not known"));
  EXPECT_THAT(message(replaced(good, "\"6.1\"", "6.1")), HasSubstr("kernel must be a text"));
}

TEST(MeasureCostsTest, EveryOperationTakesTime) {
  TempDir dir;
  Progress progress;
  const auto costs = measure_costs(
      {.scratch_parent = dir.path(), .chunk_bytes = 64 * 1024, .rounds = 3}, progress);
  if (!costs &&
      (costs.error().code == ErrorCode::kDenied || costs.error().code == ErrorCode::kUnsupported)) {
    GTEST_SKIP() << costs.error().message;
  }
  ASSERT_TRUE(costs) << costs.error().message;
  for (const uint64_t ns :
       {costs->local_read_ns, costs->verify_ns, costs->decrypt_ns, costs->install_ns}) {
    EXPECT_GT(ns, 0u);
  }
  EXPECT_EQ(progress.bytes_done.load(), progress.bytes_total.load());
  EXPECT_TRUE(decode_costs(encode_costs(*costs), "measured"));
  progress.cancel.store(true);
  EXPECT_EQ(measure_costs({.scratch_parent = dir.path()}, progress).error().code,
            ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace thaw
