// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/working_sets.h"

#include <algorithm>
#include <cmath>

#include "thaw/fleet/fleet_draws.h"

namespace thaw {
namespace {

uint32_t rounded(double value) { return static_cast<uint32_t>(std::lround(value)); }

}  // namespace

WorkingSets::WorkingSets(const FleetScenario& scenario) : bases_(scenario.functions.bases) {
  const FleetFunctions& functions = scenario.functions;
  uint32_t count = functions.count;
  for (const FleetCron& cron : scenario.crons) {
    cron_begin_.push_back(count);
    count += cron.functions;
  }
  for (const FleetBurst& burst : scenario.bursts) {
    burst_new_.push_back(burst.function ? *burst.function - 1 : count);
    if (!burst.function) ++count;
  }
  const double grain = scenario.grain_chunks;
  const uint32_t least = functions.working_set_chunks;
  const uint32_t most = std::max(least, functions.working_set_chunks_max);
  // By the smallest working set, so that every function has at least its share of own chunks.
  common_ = rounded(least * functions.common_share / grain);
  own_begin_.push_back(bases_ * common_);
  for (uint32_t function = 0; function < count; ++function) {
    const uint64_t spread = mix_bits(scenario.seed ^ mix_bits(function)) % (most - least + 1);
    const double chunks = least + static_cast<double>(spread);
    const uint32_t size = std::max(1U, rounded(chunks / grain));
    own_begin_.push_back(own_begin_.back() + (size > common_ ? size - common_ : 0));
  }
}

}  // namespace thaw
