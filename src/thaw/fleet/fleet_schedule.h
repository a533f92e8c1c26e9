// SPDX-License-Identifier: Apache-2.0
//
// What a scenario does to the fleet, and when.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/fleet/fleet_result.h"
#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

struct Scheduled {
  enum class Kind { kPhase, kEmpty, kLose, kBack };
  int64_t at_ns = 0;
  Kind kind = Kind::kPhase;
  FleetPhase phase = FleetPhase::kSteady;  // that begins with it; kSteady: none does
  FleetTier tier = FleetTier::kLocal;
  uint32_t node = 0;
};

/// In no order.
std::vector<Scheduled> schedule_of(const FleetScenario& scenario);

}  // namespace thaw
