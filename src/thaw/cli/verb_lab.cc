// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <map>
#include <optional>
#include <sstream>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/ask.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/source_commit.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/lab/compare_results.h"
#include "thaw/lab/guest_driver.h"
#include "thaw/lab/run_scenario.h"
#include "thaw/lab/validate_replay.h"

namespace thaw {
namespace {

/// From this many measurements on a run is asked for twice: it takes hours.
constexpr uint64_t kMeasurementsAsked = 10'000;
/// What a resume takes with its VMM's start and its oracle's comparison, about.
constexpr double kSecondsOfResume = 0.3;

std::string fixed(double value, int digits = 2) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

/// Beside the program, as it is installed; else where the source is.
std::string default_traces() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path beside = self.parent_path() / "traces";
  if (!error && std::filesystem::is_directory(beside, error)) return beside.string();
  return THAW_LAB_TRACES;
}

/// REAP over a plain file, as the cell's function is resumed with it: what all are compared with.
Cell baseline_of(const Cell& cell) {
  Cell baseline;
  baseline.function = cell.function;
  baseline.input = cell.input;
  baseline.parallel = cell.parallel;
  baseline.clones = cell.clones;
  baseline.driver = cell.driver;
  return baseline;
}

JsonObject interval_json(const Interval& interval) {
  JsonObject object;
  object.set("low", interval.low).set("high", interval.high);
  return object;
}

JsonObject cell_json(const Cell& cell) {
  JsonObject object;
  for (const LabAxis& axis : lab_axes()) object.set(axis.name, axis_value(cell, axis.name));
  return object;
}

/// Whether that many are meant: asks where there is somebody to ask.
Result<void> confirm_size(const Scenario& scenario, const std::string& path, const Output& out) {
  const uint64_t rounds = scenario.warm_up + scenario.repetitions;
  const uint64_t measurements = scenario.cells.size() * rounds;
  if (measurements < kMeasurementsAsked) return {};
  uint64_t resumes = 0;
  for (const Cell& cell : scenario.cells) resumes += cell.parallel * rounds;
  const std::string text = path + " has " + format_count(scenario.cells.size(), "cell") + ", " +
                           std::to_string(measurements) + " measurements: about " +
                           format_seconds(static_cast<double>(resumes) * kSecondsOfResume);
  const std::optional<bool> answer = ask(text + "; run them all?", out);
  if (!answer) return fail(ErrorCode::kInvalid, text + "; add --yes to run them all");
  if (*answer) return {};
  return fail(ErrorCode::kInterrupted, "nothing was measured");
}

}  // namespace

Result<void> run_lab_run(const Settings&, const LabRunRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const Scenario scenario, read_scenario(request.scenario));
  if (!request.yes) TRY(confirm_size(scenario, request.scenario, out));
  RunOptions options;
  options.scenario_path = request.scenario;
  options.output = request.output;
  options.playground.traces = request.traces.value_or(default_traces());
  const auto real = std::ranges::find_if(
      scenario.cells, [](const Cell& cell) { return real_vmm_of(cell).has_value(); });
  // Without guests the preflight says how to make them; what runs them comes after that. They are
  // of one VMM: the preflight refuses the cells of another.
  if (real != scenario.cells.end() && request.guests) {
    const GuestVmm vmm = *real_vmm_of(*real);
    GuestPrograms& programs = options.playground.programs;
    options.playground.guests = *request.guests;
    ASSIGN_OR_RETURN(programs.driver, find_guest_driver(vmm, request.driver));
    if (vmm == GuestVmm::kQemu) {
      ASSIGN_OR_RETURN(programs.preload, find_preload_library(request.preload));
    }
  }
  options.thaw_version = THAW_VERSION;
  options.commit = source_commit();
  ASSIGN_OR_RETURN(const auto job,
                   ForegroundJob::start("lab " + request.scenario, out, JobUnit::kPieces));
  ASSIGN_OR_RETURN(const RunReport done, run_scenario(scenario, options, job->progress()));
  out.say(std::to_string(done.measured) + " measured, " + std::to_string(done.found) + " found, " +
          format_count(scenario.cells.size(), "cell") + ", " +
          std::to_string(scenario.excluded.size()) + " combinations left out; `thaw lab show " +
          request.output + "` shows them\n");
  std::map<std::string, uint64_t> reasons;
  for (const ExcludedCell& each : scenario.excluded) ++reasons[each.why];
  for (const auto& [why, count] : reasons) {
    out.note("left out " + format_count(count, "combination") + ": " + why);
  }
  out.result()
      .set("measured", done.measured)
      .set("found", done.found)
      .set("cells", scenario.cells.size())
      .set("excluded", scenario.excluded.size());
  return {};
}

Result<void> run_lab_show(const Settings&, const LabShowRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const Results results, read_results(request.results));
  TextTable table;
  table.add({"median ms", "over plain REAP", "95 %", "touch p99 us", "cell"});
  std::vector<JsonObject> rows;
  for (const Cell& cell : cells_of(results)) {
    const std::vector<double> samples = samples_of(results, cell);
    if (samples.empty()) continue;
    const std::vector<double> baseline = samples_of(results, baseline_of(cell));
    std::vector<double> touches;
    for (const Measurement& each : results.measurements) {
      if (each.warm_up || !(each.cell == cell)) continue;
      touches.push_back(static_cast<double>(each.touch_p99_ns) / 1000);
    }
    JsonObject row;
    row.set("cell", cell_json(cell)).set("median_ms", median_of(samples));
    std::vector<std::string> words{fixed(median_of(samples)), "", "", fixed(median_of(touches), 0),
                                   cell.label()};
    if (!baseline.empty()) {
      const Interval interval = ratio_interval(baseline, samples);
      const double ratio = median_of(samples) / median_of(baseline);
      words[1] = fixed(ratio);
      words[2] = fixed(interval.low) + " to " + fixed(interval.high);
      row.set("over_plain_reap", ratio).set("interval", interval_json(interval));
    }
    table.add(std::move(words));
    rows.push_back(std::move(row));
  }
  out.say(table.text());
  out.result().set("cells", rows);
  return {};
}

Result<void> run_lab_compare(const Settings&, const LabCompareRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const Results a, read_results(request.a));
  ASSIGN_OR_RETURN(const Results b, read_results(request.b));
  const ResultsComparison comparison = compare_results(a, b);
  if (comparison.cells.empty()) {
    return fail(ErrorCode::kInvalid, request.a + " and " + request.b + " have no cell in common");
  }
  TextTable table;
  table.add({"A ms", "B ms", "B over A", "95 %", "", "cell"});
  std::vector<JsonObject> rows;
  for (const CellComparison& each : comparison.cells) {
    table.add({fixed(each.median_a), fixed(each.median_b), fixed(each.ratio),
               fixed(each.interval.low) + " to " + fixed(each.interval.high),
               each.differs() ? "differs" : "", each.cell.label()});
    JsonObject row;
    row.set("cell", cell_json(each.cell))
        .set("median_a_ms", each.median_a)
        .set("median_b_ms", each.median_b)
        .set("ratio", each.ratio)
        .set("interval", interval_json(each.interval))
        .set("differs", each.differs());
    rows.push_back(std::move(row));
  }
  out.say(table.text());
  if (comparison.only_a + comparison.only_b > 0) {
    out.note(std::to_string(comparison.only_a) + " cells are in A only, " +
             std::to_string(comparison.only_b) + " in B only");
  }
  out.result().set("cells", rows).set("only_a", comparison.only_a).set("only_b", comparison.only_b);
  return {};
}

Result<void> run_lab_validate(const Settings&, const LabValidateRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const Results results, read_results(request.results));
  const std::vector<ReplayValidation> validations = validate_replay(results);
  if (validations.empty()) {
    return fail(ErrorCode::kInvalid,
                request.results +
                    " has no function with cells of both drivers and all memory "
                    "present; scenarios/real.toml makes them");
  }
  TextTable cells;
  cells.add({"replay ms", "real ms", "replay extra", "real extra", "cell"});
  TextTable summary;
  summary.add({"function", "pairs in the same order", "in another", "cannot be told",
               "rank correlation", "real over replayed extra"});
  std::vector<JsonObject> rows;
  for (const ReplayValidation& each : validations) {
    std::vector<JsonObject> cell_rows;
    for (const ValidatedCell& cell : each.cells) {
      cells.add({fixed(cell.replay_ms), fixed(cell.real_ms), fixed(cell.replay_extra_ms),
                 fixed(cell.real_extra_ms), cell.cell.label()});
      cell_rows.emplace_back()
          .set("cell", cell_json(cell.cell))
          .set("replay_ms", cell.replay_ms)
          .set("real_ms", cell.real_ms)
          .set("replay_extra_ms", cell.replay_extra_ms)
          .set("real_extra_ms", cell.real_extra_ms);
    }
    summary.add({each.function + (each.input == LabInput::kOther ? ", other input" : ""),
                 std::to_string(each.same_order), std::to_string(each.other_order),
                 std::to_string(each.undecided), fixed(each.rank_correlation),
                 fixed(each.extra_ratio) + " (" + fixed(each.extra_ratio_low) + " to " +
                     fixed(each.extra_ratio_high) + ")"});
    rows.emplace_back()
        .set("function", each.function)
        .set("input", each.input == LabInput::kOther ? "other" : "same")
        .set("same_order", each.same_order)
        .set("other_order", each.other_order)
        .set("undecided", each.undecided)
        .set("rank_correlation", each.rank_correlation)
        .set("extra_ratio", each.extra_ratio)
        .set("extra_ratio_low", each.extra_ratio_low)
        .set("extra_ratio_high", each.extra_ratio_high)
        .set("cells", cell_rows);
  }
  out.say(cells.text() + "\n" + summary.text());
  out.result().set("functions", rows);
  return {};
}

}  // namespace thaw
