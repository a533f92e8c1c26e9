// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_record.h"

#include <algorithm>
#include <utility>

#include "thaw/fleet/event_queue.h"

namespace thaw {

FleetRecord::FleetRecord(const FleetScenario& scenario)
    : duration_ns_(ns_of(scenario.duration_s)),
      phase_ns_(ns_of(scenario.phase_s)),
      bin_ns_(ns_of(scenario.bin_s)),
      last_bin_(2 * static_cast<size_t>(scenario.duration_s / scenario.bin_s) + 1),
      phase_end_ns_(ns_of(scenario.warm_up_s)) {
  result_.duration_s = scenario.duration_s;
  result_.bin_s = scenario.bin_s;
  result_.bins.resize(static_cast<size_t>(duration_ns_ / bin_ns_ + 1));
}

FleetBin& FleetRecord::bin(int64_t now_ns) {
  const size_t index = std::min(static_cast<size_t>(now_ns / bin_ns_), last_bin_);
  if (index >= result_.bins.size()) result_.bins.resize(index + 1);
  return result_.bins[index];
}

FleetPhase FleetRecord::phase(int64_t now_ns) {
  if (phase_ != FleetPhase::kSteady && now_ns >= phase_end_ns_) {
    add_seconds(phase_end_ns_);
    phase_ = FleetPhase::kSteady;
  }
  return phase_;
}

void FleetRecord::begin(FleetPhase phase_begun, int64_t now_ns) {
  phase(now_ns);
  add_seconds(now_ns);
  phase_ = phase_begun;
  phase_end_ns_ = now_ns + phase_ns_;
}

FleetResult FleetRecord::finish() {
  phase(duration_ns_);
  add_seconds(std::max(duration_ns_, phase_since_ns_));
  result_.all.seconds = result_.duration_s;
  for (const FleetPhaseResult& each : result_.phases) {
    result_.all.resumes += each.resumes;
    result_.all.rejected += each.rejected;
    result_.all.origin_reads += each.origin_reads;
    result_.all.reads.add(each.reads);
    result_.all.resume_ns.merge(each.resume_ns);
  }
  return std::move(result_);
}

void FleetRecord::add_seconds(int64_t until_ns) {
  of(phase_).seconds += static_cast<double>(until_ns - phase_since_ns_) / kNsPerSecond;
  phase_since_ns_ = until_ns;
}

}  // namespace thaw
