// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/loopback_zone.h"

#include <gtest/gtest.h>

#include "thaw/zone/memcached_test.h"

namespace thaw {
namespace {

TEST(LoopbackZone, EveryServerAnswersAgainAfterItWasEmptied) {
  if (const std::string missing = MemcachedProcess::unavailable(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  const auto zone = LoopbackZone::start(5, {.memory_mib = 8, .threads = 1}).value();
  EXPECT_EQ(zone->nodes(), 5U);
  const ZoneOptions options = zone->options(1);
  EXPECT_EQ(options.nodes.size(), 5U);
  EXPECT_EQ(options.parity_stripes, 1U);
  EXPECT_EQ(options.item_bytes_max, 2U << 20);
  const auto client = ZoneClient::create(options).value();
  EXPECT_TRUE(wait_until_up(*client, 5));
  EXPECT_TRUE(zone->restart());
  const auto fresh = ZoneClient::create(options).value();
  EXPECT_TRUE(wait_until_up(*fresh, 5));
}

}  // namespace
}  // namespace thaw
