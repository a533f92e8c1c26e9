// SPDX-License-Identifier: Apache-2.0
//
// FleetScenario: what `thaw lab fleet` simulates: a fleet of workers, the functions that they
// resume, and what happens to them. cli/fleet_scenario.h reads one from a file.
//
// A grain is `grain_chunks` chunks of one working set that are cached and fetched together: 1 for
// full detail; more where a hundred thousand workers have to fit into memory. A working set is
// always read whole and in the same order, so its chunks come and go together anyway.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

inline constexpr uint32_t kFleetWorkersMax = 100'000;
inline constexpr uint32_t kFleetFunctionsMax = 10'000'000;
inline constexpr uint32_t kFleetChunksMax = 65'536;  // of a working set, and of a grain
inline constexpr uint64_t kFleetArrivalsMax = 100'000'000;
inline constexpr uint32_t kFleetThreadsMax = 256;
inline constexpr uint32_t kFleetLanesMax = 4096;
inline constexpr double kFleetSecondsMax = 30 * 86'400;
inline constexpr uint64_t kFleetBinsMax = 100'000;
inline constexpr size_t kFleetEventsMax = 10'000;  // of each kind in the lists below
inline constexpr size_t kFleetSizesMax = 64;

/// Where a chunk was found. A read that joins one of the same worker that is under way is counted
/// apart: no tier is asked for it.
enum class FleetTier : uint8_t { kMemory, kJoined, kLocal, kZone, kOrigin };
inline constexpr size_t kFleetTiers = 5;
/// "memory", "joined", "local", "zone", "origin".
const char* to_string(FleetTier tier);

struct FleetFunctions {
  uint32_t count = 100;
  double zipf = 1.0;  // function of rank r (from 1) is asked for in proportion to r^-zipf
  uint32_t working_set_chunks = 64;
  /// Above working_set_chunks: functions differ, evenly between the two.
  uint32_t working_set_chunks_max = 0;
  double common_share = 0.3;  // of a working set, chunks of the function's base
  uint32_t bases = 1;         // base images; functions take them in turn
};

struct FleetWorker {
  uint32_t threads = 4;  // that read, verify, decrypt and install
  uint32_t lanes = 48;   // chunks of one resume that are asked for at once
  /// Resumes at once; one more is refused. 0: no limit.
  uint32_t restores_max = 0;
  bool single_flight = true;
  double link_bytes_per_s = 25e9 / 8;  // into it, of what zone and origin send; 0: no limit
  uint64_t memory_bytes = uint64_t{256} << 20;
  PolicyKind memory_policy = PolicyKind::kS3Fifo;
  uint64_t local_bytes = uint64_t{16} << 30;  // of the cache file; 0: none
  PolicyKind local_policy = PolicyKind::kS3Fifo;
};

struct FleetZone {
  uint32_t nodes = 0;  // 0: no zone
  uint64_t node_bytes = uint64_t{64} << 30;
  /// Of node_bytes, what holds stripes: memcached rounds items up to its slab classes.
  double fill_share = 0.9;
  uint32_t data_stripes = 4;
  uint32_t parity_stripes = 1;
  PolicyKind policy = PolicyKind::kLru;
  std::string latency = "zone";        // latency_preset(), or "none"
  double node_bytes_per_s = 25e9 / 8;  // out of each; 0: no limit
};

struct FleetOrigin {
  /// Under way at once from one worker: what FairQueueOptions leave to prefetches.
  uint32_t requests_max = 48;
  double requests_per_s = 0;  // what the store answers in all; what is over waits. 0: no limit
  std::string latency = "origin";
};

/// `functions` of their own, each of which starts once a period, evenly over `over_s`.
struct FleetCron {
  double first_s = 0;
  double period_s = 3600;
  double over_s = 1;
  uint32_t functions = 100;
};

/// One function starts many times, on workers all over the fleet.
struct FleetBurst {
  double at_s = 0;
  double over_s = 1;
  uint32_t instances = 100;
  /// Its rank, from 1; none: a function that nobody has ever resumed.
  std::optional<uint32_t> function;
};

/// A cache server that is gone with what it held, until it comes back empty.
struct FleetNodeLoss {
  double at_s = 0;
  uint32_t node = 0;
  std::optional<double> back_s;  // the time at which; none: never
};

/// Every cache of a tier is emptied at once.
struct FleetEmptying {
  double at_s = 0;
  FleetTier tier = FleetTier::kLocal;  // kMemory, kLocal or kZone
};

/// The same scenario once more for each size of one tier: a worker's, or one node's.
struct FleetSweep {
  FleetTier tier = FleetTier::kLocal;
  std::vector<uint64_t> sizes;
};

struct FleetScenario {
  std::string about;
  uint64_t seed = 1;
  double duration_s = 600;
  double warm_up_s = 60;  // of it, a phase of its own: all caches begin empty
  double phase_s = 60;    // how long the phase after a burst, loss or emptying is
  double bin_s = 5;       // of what is reported over time
  uint32_t workers = 1;
  double arrivals_per_s = 1;  // resumes, of the whole fleet
  /// A function's resumes go to so many workers of its own. 0: to any.
  uint32_t workers_per_function = 0;
  uint32_t chunk_bytes = kChunkBytesDefault;
  uint32_t grain_chunks = 1;

  FleetFunctions functions;
  FleetWorker worker;
  FleetZone zone;
  FleetOrigin origin;
  std::vector<FleetCron> crons;
  std::vector<FleetBurst> bursts;
  std::vector<FleetNodeLoss> losses;
  std::vector<FleetEmptying> emptyings;
  std::optional<FleetSweep> sweep;

  /// kInvalid says which figure contradicts what; kExhausted if there are more arrivals than
  /// kFleetArrivalsMax.
  Result<void> validate() const;

  // In grains; what is not kept has 0.
  uint32_t memory_grains() const;
  uint32_t local_grains() const;  // in as many slots as the real file has
  uint32_t node_grains() const;   // stripes of grains that one cache server holds
  uint64_t stripe_item_bytes() const;

  /// The scenario with another size of the sweep's tier.
  FleetScenario with_size(FleetTier tier, uint64_t bytes) const;
};

}  // namespace thaw
