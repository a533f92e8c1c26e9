// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_result.h"

#include <algorithm>
#include <numeric>

namespace thaw {

const char* to_string(FleetPhase phase) {
  switch (phase) {
    case FleetPhase::kWarmUp:
      return "warm_up";
    case FleetPhase::kSteady:
      return "steady";
    case FleetPhase::kBurst:
      return "burst";
    case FleetPhase::kAfterLoss:
      return "after_loss";
    case FleetPhase::kEmpty:
      return "empty";
  }
  return "?";
}

uint64_t FleetReads::all() const {
  return std::accumulate(found.begin(), found.end(), uint64_t{0});
}

uint64_t FleetReads::asked(FleetTier tier) const {
  if (tier == FleetTier::kMemory) return all();
  return std::accumulate(found.begin() + static_cast<ptrdiff_t>(tier), found.end(), uint64_t{0});
}

double FleetReads::hit_rate(FleetTier tier) const {
  const uint64_t of = asked(tier);
  return of == 0 ? 0
                 : static_cast<double>(found[static_cast<size_t>(tier)]) / static_cast<double>(of);
}

double FleetReads::share(FleetTier tier) const {
  const uint64_t of = all();
  return of == 0 ? 0
                 : static_cast<double>(found[static_cast<size_t>(tier)]) / static_cast<double>(of);
}

void FleetReads::add(const FleetReads& other) {
  for (size_t i = 0; i < found.size(); ++i) found[i] += other.found[i];
}

double FleetResult::origin_peak_per_s() const {
  uint64_t peak = 0;
  for (const FleetBin& bin : bins) peak = std::max(peak, bin.origin_reads);
  return static_cast<double>(peak) / bin_s;
}

double FleetResult::amplification(FleetPhase which) const {
  const double steady = phase(FleetPhase::kSteady).origin_per_s();
  return steady > 0 ? phase(which).origin_per_s() / steady : 0;
}

}  // namespace thaw
