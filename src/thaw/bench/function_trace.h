// SPDX-License-Identifier: Apache-2.0
//
// FunctionTrace: what the resume benches know of a real guest's function (traces/README.md).
#pragma once

#include <string>
#include <vector>

#include "thaw/image/page_shape.h"
#include "thaw/image/page_trace.h"
#include "thaw/image/working_set.h"

namespace thaw {

struct FunctionTrace {
  std::string name;
  PageShape shape;     // of the memory
  PageTrace recorded;  // the resume that stands for the recording
  PageTrace measured;  // another one, with another input: what is replayed
};

/// All functions in a fixed order; for a smoke run the first one, cut short. Aborts if a
/// file is missing or wrong.
std::vector<FunctionTrace> load_function_traces(bool smoke);

/// The trace as a recording. Its times are of no matter to a resume.
Recording recording_of(const PageTrace& trace);

}  // namespace thaw
