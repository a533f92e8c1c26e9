// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/utc_text.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

using Clock = std::chrono::system_clock;

TEST(UtcTextTest, IsTheTimeInWholeSeconds) {
  EXPECT_EQ(utc_text(Clock::time_point{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(Clock::from_time_t(1'738'324'799) + std::chrono::milliseconds(999)),
            "2025-01-31T11:59:59Z");
  EXPECT_EQ(utc_text(Clock::from_time_t(1'709'208'000)), "2024-02-29T12:00:00Z");
}

}  // namespace
}  // namespace thaw
