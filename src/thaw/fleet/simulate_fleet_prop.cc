// SPDX-License-Identifier: Apache-2.0
//
// What is true of every fleet, over random scenarios.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/fleet/fleet_draws.h"
#include "thaw/fleet/grain_cache.h"
#include "thaw/fleet/result_files.h"
#include "thaw/fleet/simulate_fleet.h"

namespace thaw {
namespace {

FleetCosts some_costs() {
  return {.chunk_bytes = 16 * kKiB,
          .memory_hit_ns = 100,
          .local_read_ns = 30'000,
          .verify_ns = 12'000,
          .decrypt_ns = 5'000,
          .install_ns = 6'000};
}

FleetResult simulated(const FleetScenario& scenario, const FleetCosts& costs = some_costs()) {
  const auto valid = scenario.validate();
  RC_ASSERT(valid.has_value());
  Progress progress;
  auto result = simulate_fleet(scenario, costs, progress);
  RC_ASSERT(result.has_value());
  return std::move(*result);
}

uint32_t between(uint32_t least, uint32_t most) { return *rc::gen::inRange(least, most + 1); }

PolicyKind any_policy() {
  return *rc::gen::element(PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo);
}

/// A small one, in which everything happens.
FleetScenario any_scenario() {
  FleetScenario scenario;
  scenario.seed = *rc::gen::arbitrary<uint32_t>();
  scenario.duration_s = 60;
  scenario.warm_up_s = between(0, 30);
  scenario.phase_s = between(1, 20);
  scenario.workers = between(1, 6);
  scenario.arrivals_per_s = between(0, 8);
  scenario.workers_per_function = between(0, 3);
  scenario.chunk_bytes = 16 * kKiB;
  scenario.grain_chunks = between(1, 3);
  scenario.functions = {.count = between(2, 20),
                        .zipf = between(0, 15) / 10.0,
                        .working_set_chunks = between(3, 20),
                        .working_set_chunks_max = 25,
                        .common_share = between(0, 10) / 10.0,
                        .bases = between(1, 2)};
  scenario.worker.threads = between(1, 4);
  scenario.worker.lanes = between(1, 12);
  scenario.worker.restores_max = between(0, 3);
  scenario.worker.single_flight = *rc::gen::arbitrary<bool>();
  scenario.worker.memory_bytes = between(0, 1) * 512 * kKiB;
  scenario.worker.memory_policy = any_policy();
  scenario.worker.local_bytes = between(0, 1) * 2 * kMiB;
  scenario.worker.local_policy = any_policy();
  scenario.zone.nodes = *rc::gen::element(0U, 5U, 7U);
  scenario.zone.node_bytes = between(1, 4) * kMiB;
  scenario.zone.latency = "none";  // its tables are most of a short run's time
  scenario.origin.latency = *rc::gen::element<std::string>("none", "none", "none", "origin");
  scenario.origin.requests_max = between(1, 20);
  scenario.origin.requests_per_s = between(0, 1) * 500.0;
  scenario.crons = {{.first_s = 5, .period_s = 11, .over_s = 2, .functions = between(1, 4)}};
  scenario.bursts = {{.at_s = 20, .over_s = 1, .instances = between(1, 20)}};
  scenario.emptyings = {
      {.at_s = 40, .tier = *rc::gen::element(FleetTier::kMemory, FleetTier::kLocal)}};
  if (scenario.zone.nodes > 0) {
    scenario.losses = {{.at_s = 30, .node = 0, .back_s = 50.0}, {.at_s = 35, .node = 2}};
    scenario.emptyings.push_back({.at_s = 45, .tier = FleetTier::kZone});
  }
  return scenario;
}

RC_GTEST_PROP(SimulateFleetProp, TheSeedDecidesEverything, ()) {
  const FleetScenario scenario = any_scenario();
  const FleetResult a = simulated(scenario);
  const FleetResult b = simulated(scenario);
  RC_ASSERT(over_time_csv(a) == over_time_csv(b));
  RC_ASSERT(resume_ms_csv(a) == resume_ms_csv(b));
  RC_ASSERT(a.all.resume_ns == b.all.resume_ns);
  RC_ASSERT(a.events == b.events);
}

// The canary: two seeds must differ, or nothing above says anything.
TEST(SimulateFleetProp, AnotherSeedIsAnotherRun) {
  FleetScenario scenario;
  scenario.duration_s = 60;
  scenario.warm_up_s = 0;
  const auto run = [&](uint64_t seed) {
    scenario.seed = seed;
    Progress progress;
    const auto result = simulate_fleet(scenario, some_costs(), progress);
    CHECK(result.has_value());
    return over_time_csv(*result);
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

RC_GTEST_PROP(SimulateFleetProp, NothingIsLostAndNothingIsCountedTwice, ()) {
  const FleetScenario scenario = any_scenario();
  const FleetResult result = simulated(scenario);
  const FleetReads& reads = result.all.reads;
  // Hits and misses of a tier are what it was asked for, which is what the tiers above it missed.
  uint64_t left = reads.all();
  for (size_t i = 0; i < kFleetTiers; ++i) {
    RC_ASSERT(reads.asked(static_cast<FleetTier>(i)) == left);
    left -= reads.found[i];
  }
  RC_ASSERT(left == 0U);
  RC_ASSERT(result.all.origin_reads == reads.found[static_cast<size_t>(FleetTier::kOrigin)]);
  RC_ASSERT(result.all.resumes == result.all.resume_ns.count());
  RC_ASSERT(scenario.worker.single_flight || reads.found[1] == 0U);
  RC_ASSERT(scenario.worker.restores_max != 0 || result.all.rejected == 0U);
  FleetReads over_time;
  uint64_t begun = 0, finished = 0, origin = 0;
  for (const FleetBin& bin : result.bins) {
    over_time.add(bin.reads);
    begun += bin.resumes;
    finished += bin.finished;
    origin += bin.origin_reads;
  }
  RC_ASSERT(over_time.found == reads.found);
  RC_ASSERT(begun == result.all.resumes && finished == begun);
  RC_ASSERT(origin == result.all.origin_reads);
}

std::vector<uint32_t> any_reads(uint32_t grains) {
  return *rc::gen::container<std::vector<uint32_t>>(2000, rc::gen::inRange(0U, grains));
}

uint64_t hits_of(PolicyKind kind, uint32_t slots, const std::vector<uint32_t>& reads) {
  GrainCache cache(kind, slots);
  uint64_t hits = 0;
  for (const uint32_t grain : reads) {
    if (cache.touch(grain)) {
      ++hits;
    } else {
      cache.insert(grain);
    }
  }
  return hits;
}

// Mattson, Gecsei, Slutz, Traiger (1970): what LRU keeps in less is among what it keeps in more.
RC_GTEST_PROP(GrainCacheProp, MoreMemoryNeverCostsLruAHit, ()) {
  const std::vector<uint32_t> reads = any_reads(60);
  uint64_t before = 0;
  for (uint32_t slots = 0; slots <= 64; slots += 8) {
    const uint64_t hits = hits_of(PolicyKind::kLru, slots, reads);
    RC_ASSERT(hits >= before);
    before = hits;
  }
}

// A policy that is told late decides as one that was there from the start.
RC_GTEST_PROP(GrainCacheProp, ThePolicyThatComesLateIsNoWorse, ()) {
  const PolicyKind kind = any_policy();
  const uint32_t slots = between(1, 40);
  const std::vector<uint32_t> reads = any_reads(80);
  GrainCache cache(kind, slots);
  const auto policy = make_policy(kind, slots);
  std::unordered_map<uint32_t, uint32_t> slot_of;
  std::vector<uint32_t> grain_of(slots);
  for (const uint32_t grain : reads) {
    const auto found = slot_of.find(grain);
    RC_ASSERT(cache.contains(grain) == (found != slot_of.end()));
    if (found != slot_of.end()) {
      RC_ASSERT(cache.touch(grain));
      policy->hit(found->second);
      continue;
    }
    RC_ASSERT(!cache.touch(grain));
    cache.insert(grain);
    auto slot = static_cast<uint32_t>(slot_of.size());
    if (slot == slots) {
      slot = *policy->evict([](uint32_t) { return false; });
      slot_of.erase(grain_of[slot]);
    }
    slot_of.emplace(grain, slot);
    grain_of[slot] = grain;
    // The keys of ghosts: as the cache hashes them.
    policy->inserted(slot, mix_bits(grain));
  }
  RC_ASSERT(cache.size() == slot_of.size());
}

// The whole fleet, with nothing that takes time: then a worker's reads are the same whatever its
// disk holds, and the stack property is the simulation's.
RC_GTEST_PROP(SimulateFleetProp, ALargerDiskNeverCostsAFleetOfLruAHit, ()) {
  FleetScenario scenario = any_scenario();
  scenario.worker.local_policy = PolicyKind::kLru;
  scenario.worker.restores_max = 0;
  scenario.worker.memory_bytes = 0;
  scenario.origin.latency = "none";
  scenario.origin.requests_per_s = 0;
  scenario.worker.lanes = 1;
  scenario.grain_chunks = 1;
  const FleetCosts nothing{.chunk_bytes = 16 * kKiB};
  uint64_t before = 0;
  for (const uint64_t bytes : {0 * kKiB, 256 * kKiB, 512 * kKiB, 2 * kMiB, 16 * kMiB}) {
    scenario.worker.local_bytes = bytes;
    const FleetResult result = simulated(scenario, nothing);
    const uint64_t hits = result.all.reads.found[static_cast<size_t>(FleetTier::kLocal)];
    RC_ASSERT(hits >= before);
    before = hits;
  }
}

double local_rate(const FleetScenario& scenario) {
  Progress progress;
  const auto result = simulate_fleet(scenario, some_costs(), progress);
  CHECK(result.has_value());
  return result->phase(FleetPhase::kSteady).reads.hit_rate(FleetTier::kLocal);
}

TEST(SimulateFleetProp, MoreFunctionsOrMoreWorkersMeanFewerHits) {
  FleetScenario scenario;
  scenario.duration_s = 600;
  scenario.warm_up_s = 200;
  scenario.arrivals_per_s = 3;
  scenario.chunk_bytes = 16 * kKiB;
  scenario.zone.latency = scenario.origin.latency = "none";
  scenario.worker.memory_bytes = 0;
  scenario.worker.local_bytes = 16 * kMiB;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    scenario.seed = seed;
    scenario.workers = 1;
    scenario.functions.count = 20;
    const double few = local_rate(scenario);
    scenario.functions.count = 200;
    const double many = local_rate(scenario);
    scenario.workers = 10;
    const double spread = local_rate(scenario);
    EXPECT_GT(few, many) << seed;
    EXPECT_GT(many, spread) << seed;
    // Functions that keep to their workers find more there.
    scenario.workers_per_function = 1;
    EXPECT_GT(local_rate(scenario), spread) << seed;
    scenario.workers_per_function = 0;
  }
}

}  // namespace
}  // namespace thaw
