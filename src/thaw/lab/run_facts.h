// SPDX-License-Identifier: Apache-2.0
//
// Run facts: what a run's figures depend on besides the scenario. They stand in the header of its
// results, and a run goes on only where they are the same.
#pragma once

#include <string>

#include "thaw/lab/machine_needs.h"
#include "thaw/lab/measurement.h"

namespace thaw {

/// Sets cpu, kernel, cores, memory_bytes and versions: of the compiler, OpenSSL, the kernel's
/// settings and `output`'s file system always, of other programs if they take part. Starts those to
/// ask; one that does not answer in ten seconds is left out.
void find_facts(const MachineNeeds& needs, const std::string& output, ResultsHeader& header);

/// What is another at `now` than when `found` was written: "kernel was 6.1, is 6.18". Empty if
/// nothing is.
std::string facts_changed(const ResultsHeader& found, const ResultsHeader& now);

}  // namespace thaw
