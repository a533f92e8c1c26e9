// SPDX-License-Identifier: Apache-2.0
//
// run_scenario: all measurements of a scenario, in rounds. A round measures every cell once, in an
// order of its own drawn from the seed, so that the machine's moods meet all cells alike.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/lab/measurement.h"
#include "thaw/lab/playground.h"
#include "thaw/lab/scenario.h"

namespace thaw {

struct RunOptions {
  std::string scenario_path;
  std::string output;  // gets results.jsonl, and scratch files until the end
  PlaygroundOptions playground;
  std::string thaw_version;
  std::string commit;  // as in ResultsHeader
  /// For the lines' `at`, of which nothing else depends.
  std::function<std::chrono::system_clock::time_point()> wall_clock =
      std::chrono::system_clock::now;
};

struct RunReport {
  uint64_t measured = 0;
  uint64_t found = 0;  // that an earlier run had left
};

/// Goes on with what an earlier run of the same scenario left in the directory. What would end it
/// is looked for first (lab/preflight.h). kInterrupted if progress is cancelled, kExhausted if the
/// disk or the memory is full: what is measured stays. Progress counts measurements, not bytes.
Result<RunReport> run_scenario(const Scenario& scenario, const RunOptions& options,
                               Progress& progress);

/// The cells' order in a round: the same for the same seed, on every machine.
std::vector<size_t> round_order(size_t cells, uint64_t seed, uint64_t round);

}  // namespace thaw
