// SPDX-License-Identifier: Apache-2.0
//
// FleetRecord: a simulation's result as it grows, by phase and by bin of time.
#pragma once

#include <cstdint>

#include "thaw/fleet/fleet_result.h"
#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

/// Belongs to one thread. Times are simulated and never go back.
class FleetRecord {
 public:
  explicit FleetRecord(const FleetScenario& scenario);

  /// What no phase and no bin has.
  FleetResult& totals() { return result_; }

  FleetPhaseResult& of(FleetPhase phase) { return result_.phases[static_cast<size_t>(phase)]; }
  /// A store that is slower than what is asked of it answers long after the end: what comes later
  /// than twice the duration is in the last bin.
  FleetBin& bin(int64_t now_ns);

  /// The phase that is on.
  FleetPhase phase(int64_t now_ns);
  void begin(FleetPhase phase, int64_t now_ns);

  /// The result at the end of the scenario's duration. Once.
  FleetResult finish();

 private:
  void add_seconds(int64_t until_ns);

  const int64_t duration_ns_;
  const int64_t phase_ns_;
  const int64_t bin_ns_;
  const size_t last_bin_;
  FleetPhase phase_ = FleetPhase::kWarmUp;
  int64_t phase_since_ns_ = 0;
  int64_t phase_end_ns_;
  FleetResult result_;
};

}  // namespace thaw
