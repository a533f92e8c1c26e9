// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "thaw/fleet/event_queue.h"
#include "thaw/fleet/fleet_schedule.h"
#include "thaw/fleet/pool.h"

namespace thaw {
namespace {

FleetScenario scenario() {
  FleetScenario scenario;
  scenario.duration_s = 100;
  scenario.warm_up_s = 10;
  scenario.phase_s = 20;
  scenario.bin_s = 5;
  return scenario;
}

TEST(FleetRecord, PhasesEndByThemselvesOrWithTheNext) {
  FleetRecord record(scenario());
  EXPECT_EQ(record.phase(0), FleetPhase::kWarmUp);
  EXPECT_EQ(record.phase(ns_of(9.9)), FleetPhase::kWarmUp);
  EXPECT_EQ(record.phase(ns_of(12)), FleetPhase::kSteady);
  record.begin(FleetPhase::kBurst, ns_of(30));
  EXPECT_EQ(record.phase(ns_of(40)), FleetPhase::kBurst);
  record.begin(FleetPhase::kAfterLoss, ns_of(45));  // the burst would end at 50
  EXPECT_EQ(record.phase(ns_of(64.9)), FleetPhase::kAfterLoss);
  EXPECT_EQ(record.phase(ns_of(70)), FleetPhase::kSteady);
  const FleetResult result = record.finish();
  EXPECT_EQ(result.phase(FleetPhase::kWarmUp).seconds, 10);
  EXPECT_EQ(result.phase(FleetPhase::kBurst).seconds, 15);
  EXPECT_EQ(result.phase(FleetPhase::kAfterLoss).seconds, 20);
  EXPECT_EQ(result.phase(FleetPhase::kEmpty).seconds, 0);
  EXPECT_EQ(result.phase(FleetPhase::kSteady).seconds, 20 + 35);
  EXPECT_EQ(result.all.seconds, 100);
}

TEST(FleetRecord, AllIsTheSumOfThePhases) {
  FleetRecord record(scenario());
  for (const FleetPhase phase : {FleetPhase::kWarmUp, FleetPhase::kSteady}) {
    record.of(phase).resumes += 3;
    record.of(phase).rejected += 1;
    record.of(phase).origin_reads += 7;
    record.of(phase).reads.found[static_cast<size_t>(FleetTier::kZone)] += 5;
    record.of(phase).resume_ns.record(1000);
  }
  record.totals().events = 9;
  const FleetResult result = record.finish();
  EXPECT_EQ(result.all.resumes, 6U);
  EXPECT_EQ(result.all.rejected, 2U);
  EXPECT_EQ(result.all.origin_reads, 14U);
  EXPECT_EQ(result.all.reads.found[static_cast<size_t>(FleetTier::kZone)], 10U);
  EXPECT_EQ(result.all.resume_ns.count(), 2U);
  EXPECT_EQ(result.events, 9U);
}

TEST(FleetRecord, WhatComesLateIsInTheLastBin) {
  FleetRecord record(scenario());
  record.bin(ns_of(4.9)).resumes += 1;
  record.bin(ns_of(5)).resumes += 2;
  record.bin(ns_of(150)).finished += 4;
  record.bin(ns_of(100'000)).finished += 8;
  record.bin(ns_of(200'000)).finished += 16;
  const FleetResult result = record.finish();
  EXPECT_EQ(result.bins.at(0).resumes, 1U);
  EXPECT_EQ(result.bins.at(1).resumes, 2U);
  EXPECT_EQ(result.bins.at(30).finished, 4U);
  EXPECT_EQ(result.bins.size(), 42U);  // twice the duration, and one
  EXPECT_EQ(result.bins.back().finished, 24U);
}

TEST(FleetSchedule, WhatTheScenarioDoesWhen) {
  FleetScenario scenario;
  scenario.bursts.push_back({.at_s = 3});
  scenario.losses.push_back({.at_s = 5, .node = 2, .back_s = 8});
  scenario.losses.push_back({.at_s = 6, .node = 4});
  scenario.emptyings.push_back({.at_s = 9, .tier = FleetTier::kZone});
  const std::vector<Scheduled> schedule = schedule_of(scenario);
  ASSERT_EQ(schedule.size(), 5U);
  EXPECT_EQ(schedule[0].at_ns, 3'000'000'000);
  EXPECT_EQ(schedule[0].phase, FleetPhase::kBurst);
  EXPECT_EQ(schedule[1].kind, Scheduled::Kind::kLose);
  EXPECT_EQ(schedule[1].node, 2U);
  EXPECT_EQ(schedule[2].kind, Scheduled::Kind::kBack);
  EXPECT_EQ(schedule[2].at_ns, 8'000'000'000);
  EXPECT_EQ(schedule[2].phase, FleetPhase::kSteady);  // no phase begins when a node is back
  EXPECT_EQ(schedule[3].node, 4U);
  EXPECT_EQ(schedule[4].kind, Scheduled::Kind::kEmpty);
  EXPECT_EQ(schedule[4].tier, FleetTier::kZone);
}

TEST(FleetPool, NumbersAreUsedAgain) {
  Pool<std::string> pool;
  const uint32_t a = pool.add("a");
  const uint32_t b = pool.add("b");
  EXPECT_NE(a, b);
  pool.remove(a);
  EXPECT_EQ(pool.add("c"), a);
  EXPECT_EQ(pool[a], "c");
  EXPECT_EQ(pool[b], "b");
}

}  // namespace
}  // namespace thaw
