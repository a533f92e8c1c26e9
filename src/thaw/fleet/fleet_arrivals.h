// SPDX-License-Identifier: Apache-2.0
//
// FleetArrivals: which function is resumed when, and where: a Poisson stream over functions by
// Zipf, and what crons and bursts add. The same for the same scenario whatever its caches are.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "thaw/fleet/fleet_draws.h"
#include "thaw/fleet/fleet_scenario.h"
#include "thaw/fleet/working_sets.h"

namespace thaw {

struct FleetArrival {
  int64_t at_ns = 0;
  uint32_t function = 0;
  uint32_t worker = 0;
};

/// Belongs to one thread. 16 bytes for each start of crons and bursts; the stream is drawn as it is
/// needed.
class FleetArrivals {
 public:
  FleetArrivals(const FleetScenario& scenario, const WorkingSets& sets);

  /// In the order of their times; nullopt when duration_s is over.
  std::optional<FleetArrival> next();

 private:
  struct Planned {
    int64_t at_ns = 0;
    uint32_t function = 0;
    bool anywhere = false;  // not only on the function's own workers
  };

  void draw_stream();
  uint32_t worker_for(uint32_t function, bool anywhere);

  const uint64_t seed_;
  const uint32_t workers_;
  const uint32_t workers_per_function_;
  const double mean_gap_ns_;  // 0: there is no stream
  const double end_ns_;
  FleetDraws arrivals_;
  FleetDraws placement_;
  ZipfRanks ranks_;
  std::vector<Planned> planned_;
  size_t next_planned_ = 0;
  double stream_ns_ = 0;
  std::optional<Planned> stream_;
};

}  // namespace thaw
