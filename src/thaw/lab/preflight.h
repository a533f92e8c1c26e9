// SPDX-License-Identifier: Apache-2.0
//
// preflight: everything that would end a run is looked for before its first measurement, and before
// anything is made.
#pragma once

#include <string>

#include "thaw/base/result.h"
#include "thaw/lab/scenario.h"
#include "thaw/lab/space_needs.h"

namespace thaw {

struct PreflightOptions {
  std::string output;  // may not exist yet
  std::string traces;
  std::string guests;  // for cells with a real guest
  std::string memory_parent = "/dev/shm";
};

/// Asks only for what the scenario's cells need; takes away what killed runs left there. Fails with
/// what is wrong, on what, and what to do: kInvalid or kDenied for the output, kNotFound for traces
/// that are missing, kDenied, kUnsupported and kExhausted for the machine. Else the space that the
/// run takes.
Result<SpaceNeeds> preflight(const Scenario& scenario, const PreflightOptions& options);

}  // namespace thaw
