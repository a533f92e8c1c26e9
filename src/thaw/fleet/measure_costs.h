// SPDX-License-Identifier: Apache-2.0
//
// measure_costs: what the operations of a resume cost on this machine, by the code that resumes
// them: the memory tier's lookup, the disk cache's read, a chunk's verification, its decryption,
// its installation by userfaultfd. Each is the median of many, on one thread, after some that are
// not counted.
#pragma once

#include <string>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/fleet/fleet_costs.h"

namespace thaw {

struct MeasureCostsOptions {
  /// Gets a cache file of some 128 MiB, which goes away: on the disk that is to be measured.
  std::string scratch_parent;
  uint32_t chunk_bytes = kChunkBytesDefault;
  /// Of each operation: 3 for a test, hundreds for a measurement.
  uint32_t rounds = 400;
  std::string thaw_version;
};

/// Some seconds. kDenied or kUnsupported, with what to do, where userfaultfd cannot be used;
/// kInterrupted if it is cancelled. Progress counts rounds. Blocks; no threads of its own.
Result<FleetCosts> measure_costs(const MeasureCostsOptions& options, Progress& progress);

}  // namespace thaw
