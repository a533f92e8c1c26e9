// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/stack_meter.h"

namespace thaw {

StackMeter::Counts StackMeter::counts_of(const TierStack& stack) {
  const OriginTier::Counters& origin = stack.origin().counters();
  Counts counts{.origin_bytes = origin.bytes, .verify_ns = origin.verify_ns};
  if (const LocalTier* const local = stack.local()) {
    counts.local_bytes = local->counters().bytes;
    counts.verify_ns += local->counters().verify_ns + stack.disk_cache()->status().verify_ns;
  }
  if (const ZoneTier* const zone = stack.zone()) {
    counts.zone_bytes = zone->counters().bytes;
    counts.verify_ns += zone->counters().verify_ns;
  }
  return counts;
}

void StackMeter::add_costs(Measurement& measurement) const {
  const Counts now = counts_of(stack_);
  const MeteredSource::Counters& asked = source_.counters();
  const uint64_t verify_ns = now.verify_ns - before_.verify_ns;
  measurement.memory_bytes += asked.memory_bytes;
  measurement.local_bytes += now.local_bytes - before_.local_bytes;
  measurement.zone_bytes += now.zone_bytes - before_.zone_bytes;
  measurement.origin_bytes += now.origin_bytes - before_.origin_bytes;
  measurement.verify_ns += verify_ns;
  // Tiers answer when they have verified.
  measurement.fetch_ns += asked.fetch_ns > verify_ns ? asked.fetch_ns - verify_ns : 0;
}

}  // namespace thaw
