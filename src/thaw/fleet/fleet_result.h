// SPDX-License-Identifier: Apache-2.0
//
// FleetResult: what a simulation found. Reads are counted in chunks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "thaw/base/histogram.h"
#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

/// What is going on when a resume begins: of several, what began last. Each but kSteady ends after
/// phase_s (kWarmUp after warm_up_s).
enum class FleetPhase : uint8_t { kWarmUp, kSteady, kBurst, kAfterLoss, kEmpty };
inline constexpr size_t kFleetPhases = 5;
/// "warm_up", "steady", "burst", "after_loss", "empty".
const char* to_string(FleetPhase phase);

/// Reads of chunks by where the chunk was. A tier is asked for what those above it have not; a read
/// that joins another is found by no tier.
struct FleetReads {
  std::array<uint64_t, kFleetTiers> found{};

  uint64_t all() const;
  uint64_t asked(FleetTier tier) const;
  /// Of what the tier was asked for; 0 if that is nothing. The origin has everything.
  double hit_rate(FleetTier tier) const;
  /// Of all reads.
  double share(FleetTier tier) const;
  void add(const FleetReads& other);
};

struct FleetPhaseResult {
  double seconds = 0;         // of the run
  uint64_t resumes = 0;       // begun
  uint64_t rejected = 0;      // by restores_max
  uint64_t origin_reads = 0;  // sent to the origin in this time, by whichever resume
  FleetReads reads;           // of the resumes that began in it
  Histogram resume_ns;        // theirs

  double origin_per_s() const {
    return seconds > 0 ? static_cast<double>(origin_reads) / seconds : 0;
  }
};

struct FleetBin {
  FleetReads reads;
  uint64_t origin_reads = 0;
  uint64_t resumes = 0;
  uint64_t rejected = 0;
  uint64_t finished = 0;
  uint64_t resume_ns_sum = 0;  // of those that finished in it
};

struct FleetResult {
  double duration_s = 0;
  double bin_s = 0;
  FleetPhaseResult all;
  std::array<FleetPhaseResult, kFleetPhases> phases;
  std::vector<FleetBin> bins;  // duration_s of them, and some more if resumes end later

  uint64_t zone_degraded = 0;  // chunks that a stripe was missing of
  uint64_t origin_waited = 0;  // chunks that found their worker's limit met
  uint64_t events = 0;         // that the simulation handled
  uint64_t memory_bytes = 0;   // of the simulated caches at their largest

  const FleetPhaseResult& phase(FleetPhase phase) const {
    return phases[static_cast<size_t>(phase)];
  }
  /// Of the bins, per second.
  double origin_peak_per_s() const;
  /// Origin reads per second in a phase over those in the steady phase; 0 if either had none.
  double amplification(FleetPhase phase) const;
};

}  // namespace thaw
