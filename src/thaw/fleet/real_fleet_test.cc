// SPDX-License-Identifier: Apache-2.0
//
// The simulation against the real thing: what a small fleet of the simulation reads is read, in the
// same order, through as many real stacks over real disk caches, real memcached servers and a real
// store. The share of reads that each tier answers must agree within 15 %, in each phase. Nothing
// is judged by the clock: a read has ended, and what it fills is filled, before the next begins.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/cache/cache_format.h"
#include "thaw/fleet/simulate_fleet.h"
#include "thaw/fleet/working_sets.h"
#include "thaw/store/catalog.h"
#include "thaw/store/dir_store.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"
#include "thaw/zone/memcached_process.h"

namespace thaw {
namespace {

constexpr uint64_t kRoot = 1;
constexpr uint32_t kChunkBytes = 16 * kKiB;
constexpr unsigned kNodeMib = 5;
/// memcached cuts each MiB into items of its slab class for stripes of 4 KiB, which is 4,544 bytes:
/// with -m 5 it holds 1,150 of them.
constexpr uint64_t kSlabItemBytes = 4544;
constexpr double kTolerance = 0.15;
/// Of a rate below some 7 % what is 15 % are a few dozen reads, which one function that sits on the
/// edge of a cache decides.
constexpr double kFloor = 0.01;

FleetScenario small_scale() {
  FleetScenario scenario;
  scenario.seed = 11;
  scenario.duration_s = 1000;
  scenario.warm_up_s = 200;
  scenario.phase_s = 100;
  scenario.workers = 4;
  scenario.arrivals_per_s = 1.2;
  scenario.chunk_bytes = kChunkBytes;
  scenario.functions = {.count = 60,
                        .zipf = 0.9,
                        .working_set_chunks = 30,
                        .working_set_chunks_max = 50,
                        .common_share = 0.3,
                        .bases = 2};
  scenario.worker.lanes = 1;  // as the real reads are made: one after the other
  scenario.worker.memory_bytes = 4 * kMiB;
  scenario.worker.local_bytes = 14 * kMiB;
  scenario.zone.nodes = 8;
  scenario.zone.node_bytes = kNodeMib * (kMiB / kSlabItemBytes) * scenario.stripe_item_bytes();
  scenario.zone.fill_share = 1;
  scenario.crons = {{.first_s = 30, .period_s = 100, .over_s = 10, .functions = 8}};
  // A disk cache that is lost is lost with its process, and that is the end of its memory too.
  scenario.emptyings = {{.at_s = 350, .tier = FleetTier::kMemory},
                        {.at_s = 350, .tier = FleetTier::kLocal},
                        {.at_s = 850, .tier = FleetTier::kZone}};
  scenario.losses = {{.at_s = 550, .node = 1}, {.at_s = 650, .node = 4}};
  return scenario;
}

FleetCosts costs() {
  return {.chunk_bytes = kChunkBytes,
          .memory_hit_ns = 100,
          .local_read_ns = 30'000,
          .verify_ns = 12'000,
          .decrypt_ns = 5'000,
          .install_ns = 6'000};
}

/// Waits for what happens by itself, however slow the machine is.
template <typename Condition>
void wait_for(const Condition& condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::microseconds(200));
}

class RealFleet {
 public:
  explicit RealFleet(const FleetScenario& scenario)
      : scenario_(scenario), store_(*DirStore::create(dir_.file("store"))) {
    put_chunks(WorkingSets(scenario).grains());
    for (uint32_t i = 0; i < scenario.zone.nodes; ++i) {
      nodes_.push_back(*MemcachedProcess::start({.memory_mib = kNodeMib, .item_mib_max = 1}));
    }
    down_.resize(nodes_.size(), false);
    start_workers();
  }

  /// Does the step; of a read, the tier that answered.
  FleetTier take(const FleetStep& step) {
    switch (step.kind) {
      case FleetStep::Kind::kRead:
        return read(*stacks_[step.worker], step.grain);
      case FleetStep::Kind::kEmptied:
        empty(step.tier);
        break;
      case FleetStep::Kind::kNodeLost:
        nodes_[step.node]->kill();
        down_[step.node] = true;
        wait_until_up();
        break;
      case FleetStep::Kind::kNodeBack:
        CHECK(nodes_[step.node]->restart());
        down_[step.node] = false;
        wait_until_up();
        break;
    }
    return step.tier;
  }

  uint32_t partition_of(uint32_t grain) const { return Placement::partition_of(ids_[grain]); }
  uint64_t local_slots() const { return stacks_[0]->disk_cache()->status().slots; }

 private:
  void put_chunks(uint32_t count) {
    std::mt19937_64 random(7);
    Sha256 hasher;
    std::vector<Bytes> contents(count, Bytes(kChunkBytes));
    std::vector<PutRequest> requests;
    for (Bytes& bytes : contents) {
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
      ids_.push_back(name_chunk(hasher, bytes));
      requests.push_back({chunk_key(kRoot, ids_.back()), bytes});
    }
    CHECK(store_->put_if_absent(requests));
  }

  void start_workers() {
    for (uint32_t i = 0; i < scenario_.workers; ++i) {
      stacks_.push_back(*TierStack::create(*store_, workers_, options(scenario_, i)));
    }
    wait_until_up();
  }

  std::string cache_path(uint32_t worker) const {
    return dir_.file("cache" + std::to_string(worker));
  }

  TierOptions options(const FleetScenario& scenario, uint32_t worker) const {
    TierOptions options;
    options.memory = {.bytes_max = scenario.worker.memory_bytes,
                      .slot_bytes = kChunkBytes,
                      .policy = scenario.worker.memory_policy};
    options.local.emplace();
    options.local->cache.path = cache_path(worker);
    options.local->cache.bytes_max = scenario.worker.local_bytes;
    options.local->cache.slot_bytes = kChunkBytes;
    options.local->cache.policy = scenario.worker.local_policy;
    options.zone.emplace();
    // A machine that stands still for a while loses nothing.
    options.zone->set_timeouts(20'000);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      options.zone->nodes.push_back(
          {.name = "node" + std::to_string(i), .host = "127.0.0.1", .port = nodes_[i]->port()});
    }
    return options;
  }

  /// Every worker knows of every server whether it is there.
  void wait_until_up() const {
    for (const auto& stack : stacks_) {
      wait_for([&] {
        const std::vector<ZoneNodeStatus> nodes = stack->zone_client()->status().nodes;
        for (size_t i = 0; i < nodes.size(); ++i) {
          if ((nodes[i].state == ZoneNodeState::kUp) == down_[i]) return false;
        }
        return true;
      });
    }
  }

  FleetTier read(TierStack& stack, uint32_t grain) {
    const uint64_t memory = stack.memory().counters().hits;
    const uint64_t local = stack.local()->counters().hits;
    const uint64_t zone = stack.zone()->counters().hits;
    const auto chunk = fetch_and_wait(
        stack.top(), {.root_id = kRoot, .id = ids_[grain], .pages = kChunkBytes / kPageBytes});
    CHECK(chunk.has_value());
    if (stack.memory().counters().hits != memory) return FleetTier::kMemory;
    stack.finish_fills();
    wait_for([&] { return stack.zone_client()->status().put_bytes_in_flight == 0; });
    if (stack.local()->counters().hits != local) return FleetTier::kLocal;
    if (stack.zone()->counters().hits != zone) return FleetTier::kZone;
    return FleetTier::kOrigin;
  }

  void empty(FleetTier tier) {
    if (tier == FleetTier::kMemory) return;  // it goes with the disk, which is next
    if (tier == FleetTier::kLocal) {
      stacks_.clear();
      for (uint32_t i = 0; i < scenario_.workers; ++i) {
        CHECK(std::filesystem::remove(cache_path(i)));
      }
      start_workers();
      return;
    }
    CHECK(tier == FleetTier::kZone);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (down_[i]) continue;
      nodes_[i]->kill();
      down_[i] = true;
      wait_until_up();
      CHECK(nodes_[i]->restart());
      down_[i] = false;
    }
    wait_until_up();
  }

  const FleetScenario& scenario_;
  TempDir dir_;
  const std::unique_ptr<DirStore> store_;
  std::vector<ChunkId> ids_;  // by grain
  std::vector<std::unique_ptr<MemcachedProcess>> nodes_;
  std::vector<bool> down_;
  WorkerPool workers_{2, 4096};
  std::vector<std::unique_ptr<TierStack>> stacks_;
};

struct Compared {
  FleetReads simulated;
  FleetReads real;
};

void count(FleetReads& reads, FleetTier tier) { ++reads.found[static_cast<size_t>(tier)]; }

void print_and_judge(const std::string& phase, const Compared& compared) {
  for (const FleetTier tier : {FleetTier::kMemory, FleetTier::kLocal, FleetTier::kZone}) {
    const double real = compared.real.hit_rate(tier);
    const double simulated = compared.simulated.hit_rate(tier);
    std::printf("| %-10s | %-6s | %6llu | %6.2f %% | %6.2f %% | %+6.1f %% |\n", phase.c_str(),
                to_string(tier), static_cast<unsigned long long>(compared.real.asked(tier)),
                100 * real, 100 * simulated, real > 0 ? 100 * (simulated / real - 1) : 0.0);
    EXPECT_NEAR(simulated, real, std::max(kTolerance * real, kFloor))
        << "hit rate of " << to_string(tier) << " in phase " << phase;
  }
}

TEST(RealFleetTest, TheSimulationsHitRatesAreTheRealStacks) {
  if (const std::string why = MemcachedProcess::unavailable(); !why.empty()) GTEST_SKIP() << why;
  const FleetScenario scenario = small_scale();
  ASSERT_TRUE(scenario.validate());
  std::vector<FleetStep> steps;
  Progress progress;
  RealFleet fleet(scenario);
  const auto simulated =
      simulate_fleet(scenario, costs(), progress,
                     {.observe = [&](const FleetStep& step) { steps.push_back(step); },
                      .partition_of = [&](uint32_t grain) { return fleet.partition_of(grain); }});
  ASSERT_TRUE(simulated) << simulated.error().message;

  EXPECT_EQ(fleet.local_slots(), scenario.local_grains());
  std::map<FleetPhase, Compared> phases;
  Compared all;
  for (const FleetStep& step : steps) {
    const FleetTier answered = fleet.take(step);
    if (step.kind != FleetStep::Kind::kRead) continue;
    Compared& phase = phases[step.phase];
    for (Compared* each : {&phase, &all}) {
      count(each->simulated, step.tier);
      count(each->real, answered);
    }
  }
  std::printf("| phase      | tier   | asked  | real     | simulated | differs |\n");
  for (const auto& [phase, compared] : phases) print_and_judge(to_string(phase), compared);
  print_and_judge("all", all);
  const auto origin = static_cast<size_t>(FleetTier::kOrigin);
  std::printf("origin reads: real %llu, simulated %llu, of %llu; joined in the simulation: %llu\n",
              static_cast<unsigned long long>(all.real.found[origin]),
              static_cast<unsigned long long>(all.simulated.found[origin]),
              static_cast<unsigned long long>(all.real.all()),
              static_cast<unsigned long long>(
                  all.simulated.found[static_cast<size_t>(FleetTier::kJoined)]));
  EXPECT_EQ(all.simulated.all(), all.real.all());
  // Every phase was there, and every tier was asked enough to say something.
  EXPECT_EQ(phases.size(), 4U);
  EXPECT_GT(all.real.found[origin], 1000U);
}

}  // namespace
}  // namespace thaw
