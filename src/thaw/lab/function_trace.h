// SPDX-License-Identifier: Apache-2.0
//
// FunctionTrace: what the lab knows of a real guest's function (traces/README.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/image/page_shape.h"
#include "thaw/image/page_trace.h"
#include "thaw/image/working_set.h"

namespace thaw {

struct FunctionTrace {
  std::string name;
  PageShape shape;     // of the memory
  PageTrace recorded;  // the resume that stands for the recording
  PageTrace measured;  // another one, with another input of the same kind: what is replayed
  /// Yet another, with an input of another kind, whose working set is another one.
  std::optional<PageTrace> other;
};

/// The function's files in `directory`. kNotFound if the function has none there, with the
/// functions that have; else as the parsers fail; kInvalid if the files are of different memories.
Result<FunctionTrace> load_function(const std::string& directory, const std::string& name);

/// The first `pages` pages of the memory, and the first `events` touches of what is replayed there:
/// to see in seconds that something still runs.
void cut_function(FunctionTrace& function, uint64_t pages, size_t events);

/// The trace as a recording. Its times are of no matter to a resume.
Recording recording_of(const PageTrace& trace);

}  // namespace thaw
