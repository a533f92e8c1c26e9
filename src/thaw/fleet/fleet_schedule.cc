// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_schedule.h"

#include "thaw/fleet/event_queue.h"

namespace thaw {

std::vector<Scheduled> schedule_of(const FleetScenario& scenario) {
  std::vector<Scheduled> schedule;
  for (const FleetBurst& burst : scenario.bursts) {
    schedule.push_back({.at_ns = ns_of(burst.at_s), .phase = FleetPhase::kBurst});
  }
  for (const FleetNodeLoss& loss : scenario.losses) {
    schedule.push_back({.at_ns = ns_of(loss.at_s),
                        .kind = Scheduled::Kind::kLose,
                        .phase = FleetPhase::kAfterLoss,
                        .node = loss.node});
    if (loss.back_s) {
      schedule.push_back(
          {.at_ns = ns_of(*loss.back_s), .kind = Scheduled::Kind::kBack, .node = loss.node});
    }
  }
  for (const FleetEmptying& emptying : scenario.emptyings) {
    schedule.push_back({.at_ns = ns_of(emptying.at_s),
                        .kind = Scheduled::Kind::kEmpty,
                        .phase = FleetPhase::kEmpty,
                        .tier = emptying.tier});
  }
  return schedule;
}

}  // namespace thaw
