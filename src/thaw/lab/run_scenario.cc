// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/run_scenario.h"

#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "thaw/base/utc_text.h"
#include "thaw/lab/preflight.h"
#include "thaw/lab/results_file.h"
#include "thaw/lab/run_facts.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

ResultsHeader header_of(const Scenario& scenario, const RunOptions& options) {
  ResultsHeader header;
  header.scenario = options.scenario_path;
  header.about = scenario.about;
  header.digest = scenario.digest();
  header.seed = scenario.seed;
  header.repetitions = scenario.repetitions;
  header.warm_up = scenario.warm_up;
  header.cells = scenario.cells.size();
  header.started = utc_text(options.wall_clock());
  header.thaw_version = options.thaw_version;
  header.commit = options.commit;
  find_facts(needs_of(scenario.cells), options.output, header);
  return header;
}

std::string how_to_go_on(const RunOptions& options) {
  return "what was measured is in " + options.output + ", and the same command goes on from there";
}

tl::unexpected<Error> interrupted(const RunOptions& options) {
  return fail(ErrorCode::kInterrupted, "stopped; " + how_to_go_on(options));
}

/// A full disk or memory loses nothing but time: says so, and how much is needed.
tl::unexpected<Error> with_remedy(Error error, const SpaceNeeds& space, const RunOptions& options) {
  if (error.code == ErrorCode::kExhausted) {
    error.message += "; the scenario needs " +
                     space.describe(options.output, options.playground.memory_parent) +
                     ": make room; " + how_to_go_on(options);
  }
  return fail(std::move(error));
}

}  // namespace

std::vector<size_t> round_order(size_t cells, uint64_t seed, uint64_t round) {
  std::vector<size_t> order(cells);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937_64 random(seed * 0x9e3779b97f4a7c15 + round);
  // Own Fisher-Yates: std::shuffle differs between libraries.
  for (size_t left = cells; left > 1; --left) std::swap(order[left - 1], order[random() % left]);
  return order;
}

Result<RunReport> run_scenario(const Scenario& scenario, const RunOptions& options,
                               Progress& progress) {
  ASSIGN_OR_RETURN(const SpaceNeeds space,
                   preflight(scenario, {.output = options.output,
                                        .traces = options.playground.traces,
                                        .guests = options.playground.guests,
                                        .memory_parent = options.playground.memory_parent}));
  ASSIGN_OR_RETURN(ResultsFile results,
                   ResultsFile::open(options.output, header_of(scenario, options)));
  PlaygroundOptions playground_options = options.playground;
  if (playground_options.disk_parent.empty()) playground_options.disk_parent = options.output;
  ASSIGN_OR_RETURN(const auto playground, Playground::make(playground_options));
  for (const Cell& cell : scenario.cells) TRY(playground->check(cell));

  std::set<std::pair<std::string, uint64_t>> found;
  for (const Measurement& each : results.measurements()) {
    found.emplace(each.cell.key(), each.repetition);
  }
  const uint64_t rounds = scenario.warm_up + scenario.repetitions;
  progress.bytes_total = rounds * scenario.cells.size();
  RunReport report;
  for (uint64_t round = 0; round < rounds; ++round) {
    for (const size_t index : round_order(scenario.cells.size(), scenario.seed, round)) {
      if (progress.cancelled()) return interrupted(options);
      const Cell& cell = scenario.cells[index];
      progress.advance(1);
      if (found.contains({cell.key(), round})) {
        ++report.found;
        continue;
      }
      const uint64_t seed = scenario.seed + round * scenario.cells.size() + index;
      Result<Measurement> measured = playground->measure(cell, seed);
      if (!measured && progress.cancelled()) return interrupted(options);
      if (!measured) return with_remedy(std::move(measured).error(), space, options);
      Measurement& measurement = *measured;
      measurement.repetition = round;
      measurement.warm_up = round < scenario.warm_up;
      measurement.at = utc_text(options.wall_clock());
      if (Result<void> appended = results.append(measurement); !appended) {
        return with_remedy(std::move(appended).error(), space, options);
      }
      ++report.measured;
    }
  }
  return report;
}

}  // namespace thaw
