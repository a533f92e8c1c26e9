// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/server_time.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(ServerTimeTest, BothForms) {
  // date -u -d '2026-11-23 15:30:09' +%s
  const auto expected = std::chrono::system_clock::from_time_t(1795447809);
  EXPECT_EQ(parse_server_time("2026-11-23T15:30:09Z"), expected);
  EXPECT_EQ(parse_server_time("2026-11-23T15:30:09.123Z"), expected);
  EXPECT_EQ(parse_server_time("Mon, 23 Nov 2026 15:30:09 GMT"), expected);
}

TEST(ServerTimeTest, RefusesOthers) {
  for (const char* text : {"", "now", "2026-11-23", "2026-11-23T15:30:09", "2026-13-23T15:30:09Z",
                           "2026-11-00T15:30:09Z", "2026-11-23T24:30:09Z", "2026-11-23T15:-1:09Z",
                           "Mon, 23 Nov 2026 15:30:09 CET", "Mon, 23 Xyz 2026 15:30:09 GMT",
                           "Monday, 23-Nov-26 15:30:09 GMT", "1969-11-23T15:30:09Z",
                           "Mon, 23 Nov 6427 15:30:00 GMT"}) {
    EXPECT_EQ(parse_server_time(text), std::nullopt) << text;
  }
}

TEST(ServerTimeTest, Durations) {
  using std::chrono::seconds;
  EXPECT_EQ(human_duration(seconds(0)), "0 seconds");
  EXPECT_EQ(human_duration(seconds(-119)), "119 seconds");
  EXPECT_EQ(human_duration(seconds(41 * 60)), "41 minutes");
  EXPECT_EQ(human_duration(seconds(-3 * 3600)), "3 hours");
  EXPECT_EQ(human_duration(seconds(50 * 86400)), "50 days");
}

}  // namespace
}  // namespace thaw
