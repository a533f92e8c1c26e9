// SPDX-License-Identifier: Apache-2.0
//
// simulate_fleet: a discrete-event simulation of a fleet's resumes.
//
// A resume asks for the grains of its function's working set in order, `lanes` chunks at a time.
// Each is looked for as tier/stack.h does it: memory, then a read of the same worker that is under
// way, local disk, zone, origin. What that takes:
//  - A disk read holds one of the worker's threads and its disk, which serves one read at a time.
//  - A zone read waits for the slowest link of the k best servers, and then for the k-th best of
//    their latencies (zone_model.h). A miss costs as much, before the origin is asked.
//  - An origin read waits for its turn under its worker's limit, resumes in turn (fair_queue.h),
//    then for the store's own rate, then for its latency.
//  - What zone and origin send comes in over the worker's link, one grain after the other.
//  - What came from outside is verified, and all is decrypted and installed, on the first free
//    thread of the worker.
// What a tier brings is kept by those above it when it arrives. A resume ends with its last grain
// installed. Placement of resumes, popularity and schedule are fleet_arrivals.h's.
//
// Why no framework: SimPy-like libraries have a coroutine a process, which a hundred thousand
// workers with dozens of lanes each cannot pay; what is left is a priority queue, and that is
// Boost.Heap's.
#pragma once

#include <cstdint>
#include <functional>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/fleet/fleet_costs.h"
#include "thaw/fleet/fleet_result.h"
#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

/// What the simulated caches may take: above, the run ends instead of the machine.
inline constexpr uint64_t kFleetMemoryMax = uint64_t{8} << 30;

/// What happened to the caches, in order: for replaying it on real ones.
struct FleetStep {
  enum class Kind { kRead, kEmptied, kNodeLost, kNodeBack };
  Kind kind = Kind::kRead;
  FleetPhase phase = FleetPhase::kSteady;  // of a read's resume
  FleetTier tier = FleetTier::kMemory;     // where a read found the grain; what was emptied
  uint32_t worker = 0;
  uint32_t grain = 0;
  uint32_t node = 0;
};
/// For checking the simulation against real stacks.
struct FleetHooks {
  std::function<void(const FleetStep&)> observe;
  /// The placement's partition of a grain, if not that of a hash of its number: a real chunk has
  /// its own by its name.
  std::function<uint32_t(uint32_t grain)> partition_of;
};

/// The same for the same scenario and costs, on every machine (fleet_draws.h). `scenario` is valid;
/// its sweep is not looked at. Progress counts simulated seconds, onto what is there. kInterrupted
/// if it is cancelled; kExhausted above kFleetMemoryMax. About a million reads of grains a second.
Result<FleetResult> simulate_fleet(const FleetScenario& scenario, const FleetCosts& costs,
                                   Progress& progress, const FleetHooks& hooks = {});

}  // namespace thaw
