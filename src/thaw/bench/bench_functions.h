// SPDX-License-Identifier: Apache-2.0
//
// The functions that the benches resume.
#pragma once

#include <vector>

#include "thaw/lab/function_trace.h"

namespace thaw {

/// All of them in a fixed order; for a smoke run the first one, cut short. Aborts if a file is
/// missing or wrong.
std::vector<FunctionTrace> load_function_traces(bool smoke);

}  // namespace thaw
