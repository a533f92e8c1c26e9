// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/simulate_fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "thaw/base/check.h"
#include "thaw/fleet/fleet_costs.h"

namespace thaw {
namespace {

using testing::HasSubstr;

FleetCosts round_costs() {
  return {.chunk_bytes = 512 * kKiB,
          .memory_hit_ns = 100,
          .local_read_ns = 500'000,
          .verify_ns = 300'000,
          .decrypt_ns = 100'000,
          .install_ns = 150'000};
}

FleetScenario small_fleet() {
  FleetScenario scenario;
  scenario.duration_s = 300;
  scenario.warm_up_s = 100;
  scenario.phase_s = 20;
  scenario.workers = 4;
  scenario.arrivals_per_s = 4;
  scenario.functions = {.count = 60, .zipf = 1.0, .working_set_chunks = 20, .common_share = 0.3};
  scenario.worker.memory_bytes = 32 * kMiB;
  scenario.worker.local_bytes = 200 * kMiB;
  scenario.zone.nodes = 6;
  scenario.zone.node_bytes = 64 * kMiB;
  return scenario;
}

FleetResult simulate(const FleetScenario& scenario, const FleetCosts& costs = round_costs(),
                     const FleetHooks& hooks = {}) {
  EXPECT_TRUE(scenario.validate());
  Progress progress;
  auto result = simulate_fleet(scenario, costs, progress, hooks);
  CHECK(result.has_value());
  return std::move(*result);
}

TEST(SimulateFleetTest, EveryReadIsFoundOnceAndEveryResumeEnds) {
  FleetScenario scenario = small_fleet();
  scenario.bursts = {{.at_s = 150, .over_s = 1, .instances = 50}};
  scenario.losses = {{.at_s = 200, .node = 1, .back_s = 260}};
  scenario.emptyings = {{.at_s = 230, .tier = FleetTier::kLocal}};
  scenario.crons = {{.first_s = 10, .period_s = 60, .over_s = 2, .functions = 5}};
  uint64_t steps = 0;
  const FleetResult result =
      simulate(scenario, round_costs(), {.observe = [&](const FleetStep& step) {
                 steps += step.kind == FleetStep::Kind::kRead ? 1 : 0;
               }});
  const FleetReads& reads = result.all.reads;
  EXPECT_EQ(reads.all(), result.all.resumes * 20);
  EXPECT_EQ(reads.all(), steps);
  EXPECT_EQ(result.all.resume_ns.count(), result.all.resumes);
  EXPECT_EQ(result.all.origin_reads, reads.found[static_cast<size_t>(FleetTier::kOrigin)]);
  EXPECT_EQ(result.all.rejected, 0u);
  FleetReads over_time;
  uint64_t finished = 0;
  for (const FleetBin& bin : result.bins) {
    over_time.add(bin.reads);
    finished += bin.finished;
  }
  EXPECT_EQ(over_time.found, reads.found);
  EXPECT_EQ(finished, result.all.resumes);
  double seconds = 0;
  for (const FleetPhaseResult& phase : result.phases) seconds += phase.seconds;
  EXPECT_NEAR(seconds, scenario.duration_s, 1e-6);
  EXPECT_NEAR(result.phase(FleetPhase::kWarmUp).seconds, 100, 1e-6);
  EXPECT_NEAR(result.phase(FleetPhase::kEmpty).seconds, 20, 1e-6);
}

// Figures of one machine, which every other has to repeat. They change when the model does.
TEST(SimulateFleetTest, TheSameOnEveryMachine) {
  FleetScenario scenario = small_fleet();
  scenario.bursts = {{.at_s = 150, .over_s = 1, .instances = 50}};
  scenario.losses = {{.at_s = 200, .node = 1, .back_s = 260}};
  scenario.crons = {{.first_s = 10, .period_s = 60, .over_s = 2, .functions = 5}};
  const FleetResult result = simulate(scenario);
  EXPECT_EQ(result.all.reads.found,
            (std::array<uint64_t, kFleetTiers>{14011, 2, 6234, 2433, 2220}));
  EXPECT_EQ(result.events, 43908u);
  EXPECT_EQ(result.all.resume_ns.max(), 387324126u);
}

// One resume, alone: the pipeline's arithmetic by hand.
TEST(SimulateFleetTest, OneResumeTakesWhatItsStagesTake) {
  FleetScenario scenario;
  scenario.duration_s = 10;
  scenario.warm_up_s = 0;
  scenario.bin_s = 10;
  scenario.arrivals_per_s = 0;
  scenario.functions = {.count = 1, .working_set_chunks = 10, .common_share = 0};
  scenario.worker.threads = 1;
  scenario.worker.lanes = 1;
  scenario.worker.link_bytes_per_s = 0;
  scenario.origin.latency = "none";
  scenario.bursts = {{.at_s = 1, .instances = 1, .function = 1},
                     {.at_s = 2, .instances = 1, .function = 1}};
  // First from the origin: verified, decrypted, installed. Then from memory.
  const FleetResult first = simulate(scenario);
  EXPECT_EQ(first.all.resume_ns.count(), 2u);
  EXPECT_EQ(first.all.resume_ns.max(), 10u * 550'000);
  EXPECT_NEAR(first.all.resume_ns.mean(), (10 * 550'000 + 10 * 250'100) / 2.0, 1);
  // Without memory the second is from the disk.
  scenario.worker.memory_bytes = 0;
  EXPECT_NEAR(simulate(scenario).all.resume_ns.mean(), (10 * 550'000 + 10 * 750'000) / 2.0, 1);
  // With two threads and lanes all but the last decryption hides behind the disk.
  scenario.worker.threads = 2;
  scenario.worker.lanes = 2;
  EXPECT_NEAR(simulate(scenario).all.resume_ns.mean(), (5 * 550'000 + 10 * 500'000 + 250'000) / 2.0,
              1);
}

TEST(SimulateFleetTest, TheOriginsLimitsMakeItWait) {
  FleetScenario scenario;
  scenario.duration_s = 10;
  scenario.warm_up_s = 0;
  scenario.arrivals_per_s = 0;
  scenario.functions = {.count = 1, .working_set_chunks = 100, .common_share = 0};
  scenario.origin.latency = "none";
  scenario.bursts = {{.at_s = 1, .instances = 1, .function = 1}};
  scenario.origin.requests_per_s = 50;
  const FleetResult slow = simulate(scenario);
  EXPECT_NEAR(static_cast<double>(slow.all.resume_ns.max()) / 1e9, 2.0, 0.01);
  EXPECT_EQ(slow.origin_waited, 0u);  // the lanes are as many as the worker may ask
  scenario.origin.requests_max = 10;
  EXPECT_EQ(simulate(scenario).origin_waited, 90u);
}

TEST(SimulateFleetTest, AWorkersLinkBringsOneChunkAfterTheOther) {
  FleetScenario scenario;
  scenario.duration_s = 10;
  scenario.warm_up_s = 0;
  scenario.arrivals_per_s = 0;
  scenario.functions = {.count = 1, .working_set_chunks = 40, .common_share = 0};
  scenario.worker.threads = 64;
  scenario.worker.link_bytes_per_s = 512.0 * kKiB * 100;  // a chunk takes 10 ms
  scenario.origin.latency = "none";
  scenario.bursts = {{.at_s = 1, .instances = 1, .function = 1}};
  EXPECT_EQ(simulate(scenario).all.resume_ns.max(), 40u * 10'000'000 + 550'000);
}

TEST(SimulateFleetTest, WhoComesToAFullWorkerIsRejected) {
  FleetScenario scenario = small_fleet();
  scenario.workers = 1;
  scenario.worker.restores_max = 2;
  scenario.bursts = {{.at_s = 150, .over_s = 0, .instances = 50}};
  const FleetResult result = simulate(scenario);
  EXPECT_GE(result.phase(FleetPhase::kBurst).rejected, 48u);
  EXPECT_EQ(result.all.resumes, result.all.resume_ns.count());
}

// Single flight: a burst of a new function asks the origin for each chunk once on each worker.
TEST(SimulateFleetTest, ABurstOnOneWorkerAsksTheOriginOnce) {
  FleetScenario scenario = small_fleet();
  scenario.workers = 1;
  scenario.arrivals_per_s = 0;
  scenario.functions.common_share = 0;
  scenario.bursts = {{.at_s = 150, .over_s = 0, .instances = 50}};
  EXPECT_EQ(simulate(scenario).all.origin_reads, 20u);
  scenario.worker.single_flight = false;
  EXPECT_GT(simulate(scenario).all.origin_reads, 500u);
}

TEST(SimulateFleetTest, AnEmptyCacheLoadsTheTierBelow) {
  FleetScenario scenario = small_fleet();
  scenario.emptyings = {{.at_s = 200, .tier = FleetTier::kZone}};
  const FleetResult zone = simulate(scenario);
  EXPECT_GT(zone.amplification(FleetPhase::kEmpty), 2.0);
  scenario.emptyings = {{.at_s = 200, .tier = FleetTier::kLocal}};
  const FleetResult local = simulate(scenario);
  EXPECT_LT(local.phase(FleetPhase::kEmpty).reads.hit_rate(FleetTier::kLocal),
            0.8 * local.phase(FleetPhase::kSteady).reads.hit_rate(FleetTier::kLocal));
  // The zone stands before the origin.
  EXPECT_LT(local.amplification(FleetPhase::kEmpty), zone.amplification(FleetPhase::kEmpty));
}

TEST(SimulateFleetTest, OneLostNodeCostsNoOriginReadAndTwoDo) {
  FleetScenario scenario = small_fleet();
  scenario.zone.node_bytes = kGiB;  // nothing is evicted
  scenario.functions.zipf = 0.5;
  const uint64_t none = simulate(scenario).all.origin_reads;
  scenario.losses = {{.at_s = 150, .node = 0}};
  const FleetResult one = simulate(scenario);
  EXPECT_EQ(one.all.origin_reads, none);
  EXPECT_GT(one.zone_degraded, 0u);
  scenario.losses.push_back({.at_s = 160, .node = 1});
  EXPECT_GT(simulate(scenario).all.origin_reads, none);
}

TEST(SimulateFleetTest, GrainsKeepTheHitRates) {
  FleetScenario scenario = small_fleet();
  scenario.functions.working_set_chunks = 40;
  scenario.worker.local_bytes = 400 * kMiB;
  const FleetReads fine = simulate(scenario).phase(FleetPhase::kSteady).reads;
  scenario.grain_chunks = 4;
  const FleetReads coarse = simulate(scenario).phase(FleetPhase::kSteady).reads;
  EXPECT_EQ(fine.all(), coarse.all());
  for (const FleetTier tier : {FleetTier::kMemory, FleetTier::kLocal, FleetTier::kZone}) {
    EXPECT_NEAR(coarse.share(tier), fine.share(tier), 0.05) << to_string(tier);
  }
}

// A grain's chunks are spread over the servers as chunks are: what they send in a burst takes as
// long.
TEST(SimulateFleetTest, GrainsKeepTheServersLoad) {
  FleetScenario scenario;
  scenario.duration_s = 100;
  scenario.warm_up_s = 0;
  scenario.workers = 200;
  scenario.arrivals_per_s = 0;
  scenario.functions = {.count = 1, .working_set_chunks = 64, .common_share = 0};
  scenario.zone.nodes = 40;
  scenario.zone.latency = "none";
  scenario.zone.node_bytes_per_s = 100e6;
  scenario.worker.link_bytes_per_s = 0;
  // The first fills the zone, the others come at once.
  scenario.bursts = {{.at_s = 1, .instances = 1, .function = 1},
                     {.at_s = 50, .over_s = 0, .instances = 200, .function = 1}};
  const auto slowest_ms = [&](uint32_t grain_chunks) {
    scenario.grain_chunks = grain_chunks;
    return static_cast<double>(simulate(scenario).phase(FleetPhase::kBurst).resume_ns.max()) / 1e6;
  };
  const double fine = slowest_ms(1);
  EXPECT_GT(fine, 300);
  EXPECT_NEAR(slowest_ms(8), fine, 0.3 * fine);
}

TEST(SimulateFleetTest, CancellingEndsIt) {
  FleetScenario scenario = small_fleet();
  scenario.arrivals_per_s = 100;
  Progress progress;
  progress.cancel.store(true);
  const auto result = simulate_fleet(scenario, round_costs(), progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
  EXPECT_THAT(result.error().message, HasSubstr("stopped at"));
}

TEST(FleetScenarioTest, ContradictionsAreNamed) {
  const auto message = [](auto change) {
    FleetScenario scenario = small_fleet();
    change(scenario);
    const auto valid = scenario.validate();
    return valid ? std::string("valid") : valid.error().message;
  };
  EXPECT_EQ(message([](FleetScenario&) {}), "valid");
  EXPECT_THAT(message([](FleetScenario& s) { s.workers = 100'001; }), HasSubstr("workers"));
  EXPECT_THAT(message([](FleetScenario& s) { s.zone.nodes = 4; }), HasSubstr("5 stripes"));
  EXPECT_THAT(message([](FleetScenario& s) { s.losses = {{.at_s = 1, .node = 6}}; }),
              HasSubstr("0 to 5"));
  EXPECT_THAT(message([](FleetScenario& s) { s.bursts = {{.at_s = 300}}; }),
              HasSubstr("[[burst]]"));
  EXPECT_THAT(message([](FleetScenario& s) { s.bursts = {{.at_s = 1, .function = 61}}; }),
              HasSubstr("1 to functions.count"));
  EXPECT_THAT(message([](FleetScenario& s) { s.grain_chunks = 1024; }), HasSubstr("grain"));
  EXPECT_THAT(message([](FleetScenario& s) { s.arrivals_per_s = 1e9; }), HasSubstr("resumes"));
  EXPECT_THAT(message([](FleetScenario& s) { s.origin.latency = "moon"; }), HasSubstr("moon"));
  EXPECT_THAT(message([](FleetScenario& s) { s.sweep = FleetSweep{FleetTier::kLocal, {4096}}; }),
              HasSubstr("worker.local"));
}

}  // namespace
}  // namespace thaw
