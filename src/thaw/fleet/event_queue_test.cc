// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/event_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace thaw {
namespace {

using testing::ElementsAre;

TEST(EventQueue, ByTimeAndThenInTheOrderOfPlanning) {
  EventQueue queue;
  queue.add(20, EventKind::kLanded, 1);
  queue.add(10, EventKind::kSent, 2);
  queue.add(20, EventKind::kInstalled, 3);
  queue.add(10, EventKind::kLanded, 4);
  queue.add(20, EventKind::kSent, 5);
  std::vector<uint32_t> order;
  while (!queue.empty()) order.push_back(queue.pop().which);
  EXPECT_THAT(order, ElementsAre(2, 4, 1, 3, 5));
}

TEST(EventQueue, WhatIsPlannedMeanwhileTakesItsPlace) {
  EventQueue queue;
  queue.add(10, EventKind::kArrival, 0);
  queue.add(30, EventKind::kArrival, 1);
  const Event first = queue.pop();
  EXPECT_EQ(first.at_ns, 10);
  EXPECT_EQ(first.kind, EventKind::kArrival);
  queue.add(20, EventKind::kSent, 2);
  EXPECT_EQ(queue.pop().which, 2U);
  EXPECT_EQ(queue.pop().which, 1U);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace thaw
