// SPDX-License-Identifier: Apache-2.0
//
// The results of a simulation as comma-separated values: a header line, then a line for each row.
#pragma once

#include <array>
#include <span>
#include <string>

#include "thaw/fleet/fleet_result.h"

namespace thaw {

/// The points of the resume times' distribution that are reported, in percent.
inline constexpr std::array kResumePercents = {1.0,  5.0,  10.0, 25.0, 50.0, 75.0,
                                               90.0, 95.0, 99.0, 99.9, 100.0};

/// Milliseconds; 0 if there was no resume.
double resume_ms(const FleetPhaseResult& phase, double percent);

/// A row for each bin: its begin, reads by tier, hit rates, origin reads per second, resumes.
std::string over_time_csv(const FleetResult& result);
/// A row for each phase that had resumes, and "all", and each of kResumePercents.
std::string resume_ms_csv(const FleetResult& result);

/// One run of a sweep.
struct FleetSizeResult {
  uint64_t bytes = 0;
  FleetResult result;
};
/// A row for each size: hit rates, origin reads per second, resume times; of the steady phase.
std::string sizes_csv(FleetTier tier, std::span<const FleetSizeResult> sizes);

}  // namespace thaw
