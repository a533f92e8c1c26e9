// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_zone.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

TEST(LabZone, ServersThatAreHeldUpAreWaitedFor) {
  if (const std::string missing = MemcachedProcess::unavailable(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  const auto zone = LabZone::start().value();
  const auto client = ZoneClient::create(zone->options(1)).value();
  ASSERT_TRUE(wait_until_up(*client, zone->nodes()));
  const TestChunk chunk = make_chunk(1, 16);
  ASSERT_EQ(put_and_wait(*client, chunk), 5U);
  for (size_t i = 0; i < zone->nodes(); ++i) zone->server(i).freeze();
  // Several times what an operator's zone waits for a stripe, or for a connection to go on.
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    for (size_t i = 0; i < zone->nodes(); ++i) zone->server(i).thaw();
  });
  EXPECT_TRUE(get_and_compare(*client, chunk));
  end.join();
  EXPECT_TRUE(get_and_compare(*client, chunk));
}

}  // namespace
}  // namespace thaw
