// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <filesystem>
#include <iomanip>
#include <sstream>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/fleet_scenario_file.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/fleet/measure_costs.h"
#include "thaw/fleet/result_files.h"
#include "thaw/fleet/simulate_fleet.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kReadTiers = {FleetTier::kMemory, FleetTier::kJoined, FleetTier::kLocal,
                                   FleetTier::kZone, FleetTier::kOrigin};
constexpr std::array kShownPhases = {FleetPhase::kWarmUp, FleetPhase::kSteady, FleetPhase::kBurst,
                                     FleetPhase::kAfterLoss, FleetPhase::kEmpty};

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::string percent(double share) { return fixed(100 * share, 2) + " %"; }

std::string directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<void> measure(const std::string& path, Output& out) {
  MeasureCostsOptions options;
  options.scratch_parent = directory_of(path);
  options.thaw_version = THAW_VERSION;
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("measure costs", out, JobUnit::kPieces));
  ASSIGN_OR_RETURN(const FleetCosts costs, measure_costs(options, job->progress()));
  TRY(replace_file(path, as_bytes(encode_costs(costs)), 0644));
  TextTable table;
  table.add({"of one chunk of " + human_bytes(costs.chunk_bytes), "us"});
  const auto add = [&](const char* what, uint64_t ns) {
    table.add({what, fixed(static_cast<double>(ns) / 1000, 2)});
  };
  add("memory hit", costs.memory_hit_ns);
  add("local read", costs.local_read_ns);
  add("verify", costs.verify_ns);
  add("decrypt", costs.decrypt_ns);
  add("install", costs.install_ns);
  out.say(table.text() + "written to " + path + "\n");
  out.result()
      .set("costs", path)
      .set("chunk_bytes", costs.chunk_bytes)
      .set("memory_hit_ns", costs.memory_hit_ns)
      .set("local_read_ns", costs.local_read_ns)
      .set("verify_ns", costs.verify_ns)
      .set("decrypt_ns", costs.decrypt_ns)
      .set("install_ns", costs.install_ns);
  return {};
}

Result<FleetCosts> costs_for(const LabFleetRequest& request) {
  if (request.costs) return read_costs(*request.costs);
  const std::string beside = directory_of(*request.scenario) + "/costs.json";
  Result<FleetCosts> costs = read_costs(beside);
  if (costs || costs.error().code != ErrorCode::kNotFound) return costs;
  return fail(ErrorCode::kNotFound,
              "there is no " + beside +
                  " that says what operations cost; make one with `thaw lab fleet --measure " +
                  beside + "`, or name another with --costs");
}

// For people.

std::string reads_text(const FleetResult& result) {
  TextTable table;
  std::vector<std::string> head{"tier", "asked", "found", "hit rate", "of all reads"};
  for (const FleetPhase phase : kShownPhases) {
    if (result.phase(phase).resumes > 0)
      head.push_back(std::string("hit rate ") + to_string(phase));
  }
  table.add(std::move(head));
  for (const FleetTier tier : kReadTiers) {
    // A read that joins another is no hit of a tier, and the origin misses nothing.
    const bool cache = tier != FleetTier::kJoined && tier != FleetTier::kOrigin;
    const FleetReads& reads = result.all.reads;
    std::vector<std::string> row{to_string(tier), std::to_string(reads.asked(tier)),
                                 std::to_string(reads.found[static_cast<size_t>(tier)]),
                                 cache ? percent(reads.hit_rate(tier)) : "",
                                 percent(reads.share(tier))};
    for (const FleetPhase phase : kShownPhases) {
      const FleetPhaseResult& each = result.phase(phase);
      if (each.resumes > 0) row.push_back(cache ? percent(each.reads.hit_rate(tier)) : "");
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string phases_text(const FleetResult& result) {
  TextTable table;
  table.add({"phase", "s", "resumes", "rejected", "origin/s", "over steady", "p50 ms", "p90 ms",
             "p99 ms", "p99.9 ms", "max ms"});
  const auto add = [&](const std::string& name, const FleetPhaseResult& phase,
                       const std::string& amplification) {
    std::vector<std::string> row{name,
                                 fixed(phase.seconds, 0),
                                 std::to_string(phase.resumes),
                                 std::to_string(phase.rejected),
                                 fixed(phase.origin_per_s(), 1),
                                 amplification};
    for (const double at : {50.0, 90.0, 99.0, 99.9, 100.0}) {
      row.push_back(fixed(resume_ms(phase, at), 2));
    }
    table.add(std::move(row));
  };
  for (const FleetPhase phase : kShownPhases) {
    const FleetPhaseResult& each = result.phase(phase);
    if (each.resumes + each.rejected == 0) continue;
    const double times = result.amplification(phase);
    add(to_string(phase), each, times > 0 ? fixed(times, 2) : "-");
  }
  add("all", result.all, "");
  return table.text();
}

std::string sizes_text(FleetTier tier, std::span<const FleetSizeResult> sizes) {
  TextTable table;
  table.add({std::string(to_string(tier)) + " size", "memory hits", "local hits", "zone hits",
             "origin of all reads", "origin/s", "p50 ms", "p99 ms"});
  for (const FleetSizeResult& size : sizes) {
    const FleetPhaseResult& steady = size.result.phase(FleetPhase::kSteady);
    table.add({human_bytes(size.bytes), percent(steady.reads.hit_rate(FleetTier::kMemory)),
               percent(steady.reads.hit_rate(FleetTier::kLocal)),
               percent(steady.reads.hit_rate(FleetTier::kZone)),
               percent(steady.reads.share(FleetTier::kOrigin)), fixed(steady.origin_per_s(), 1),
               fixed(resume_ms(steady, 50), 2), fixed(resume_ms(steady, 99), 2)});
  }
  return table.text();
}

// For programs.

JsonObject reads_json(const FleetReads& reads) {
  JsonObject object;
  for (const FleetTier tier : kReadTiers) {
    JsonObject each;
    each.set("asked", reads.asked(tier))
        .set("found", reads.found[static_cast<size_t>(tier)])
        .set("hit_rate", reads.hit_rate(tier))
        .set("share", reads.share(tier));
    object.set(to_string(tier), each);
  }
  return object;
}

JsonObject phase_json(const std::string& name, const FleetPhaseResult& phase) {
  std::vector<JsonObject> points;
  for (const double at : kResumePercents) {
    JsonObject point;
    point.set("percent", at).set("ms", resume_ms(phase, at));
    points.push_back(std::move(point));
  }
  JsonObject object;
  object.set("phase", name)
      .set("seconds", phase.seconds)
      .set("resumes", phase.resumes)
      .set("rejected", phase.rejected)
      .set("origin_reads", phase.origin_reads)
      .set("origin_per_s", phase.origin_per_s())
      .set("resume_mean_ms", phase.resume_ns.mean() / 1e6)
      .set("resume_ms", points)
      .set("reads", reads_json(phase.reads));
  return object;
}

void put_result(const FleetResult& result, JsonObject& object) {
  std::vector<JsonObject> phases;
  for (const FleetPhase phase : kShownPhases) {
    const FleetPhaseResult& each = result.phase(phase);
    if (each.resumes + each.rejected == 0) continue;
    JsonObject json = phase_json(to_string(phase), each);
    json.set("origin_over_steady", result.amplification(phase));
    phases.push_back(std::move(json));
  }
  object.set("all", phase_json("all", result.all))
      .set("phases", phases)
      .set("origin_peak_per_s", result.origin_peak_per_s())
      .set("origin_waited", result.origin_waited)
      .set("zone_degraded", result.zone_degraded)
      .set("events", result.events)
      .set("cache_model_bytes", result.memory_bytes);
}

JsonObject report_json(const FleetScenario& scenario, const FleetResult& result,
                       std::span<const FleetSizeResult> sizes) {
  JsonObject object;
  object.set("about", scenario.about)
      .set("seed", scenario.seed)
      .set("workers", scenario.workers)
      .set("duration_s", scenario.duration_s)
      .set("grain_chunks", scenario.grain_chunks);
  put_result(result, object);
  std::vector<JsonObject> swept;
  for (const FleetSizeResult& size : sizes) {
    JsonObject each;
    each.set("tier", to_string(scenario.sweep->tier)).set("bytes", size.bytes);
    put_result(size.result, each);
    swept.push_back(std::move(each));
  }
  object.set("sizes", swept);
  return object;
}

Result<void> write_files(const std::string& directory, const FleetScenario& scenario,
                         const FleetResult& result, std::span<const FleetSizeResult> sizes,
                         const JsonObject& report) {
  TRY(make_directories(directory, 0755));
  const auto write = [&](const char* name, const std::string& text) {
    return replace_file(directory + "/" + name, as_bytes(text), 0644);
  };
  TRY(write("fleet.json", report.text() + "\n"));
  TRY(write("over_time.csv", over_time_csv(result)));
  TRY(write("resume_ms.csv", resume_ms_csv(result)));
  if (scenario.sweep) TRY(write("sizes.csv", sizes_csv(scenario.sweep->tier, sizes)));
  return {};
}

}  // namespace

Result<void> run_lab_fleet(const Settings&, const LabFleetRequest& request, Output& out) {
  if (request.scenario.has_value() == request.measure.has_value()) {
    return fail(ErrorCode::kInvalid,
                "give either a SCENARIO to simulate, as scenarios/fleet/one.toml, or --measure "
                "FILE to measure what operations cost here");
  }
  if (request.measure) return measure(*request.measure, out);
  ASSIGN_OR_RETURN(const FleetScenario scenario, read_fleet_scenario(*request.scenario));
  ASSIGN_OR_RETURN(const FleetCosts costs, costs_for(request));
  const size_t runs = 1 + (scenario.sweep ? scenario.sweep->sizes.size() : 0);
  ASSIGN_OR_RETURN(const auto job,
                   ForegroundJob::start("fleet " + *request.scenario, out, JobUnit::kPieces));
  Progress& progress = job->progress();
  progress.bytes_total.store(runs * static_cast<uint64_t>(scenario.duration_s));
  const Clock::time_point begin = Clock::now();
  ASSIGN_OR_RETURN(const FleetResult result, simulate_fleet(scenario, costs, progress));
  uint64_t events = result.events;
  std::vector<FleetSizeResult> sizes;
  for (size_t i = 0; i + 1 < runs; ++i) {
    const uint64_t bytes = scenario.sweep->sizes[i];
    ASSIGN_OR_RETURN(
        FleetResult sized,
        simulate_fleet(scenario.with_size(scenario.sweep->tier, bytes), costs, progress));
    events += sized.events;
    sizes.push_back({bytes, std::move(sized)});
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();

  const JsonObject report = report_json(scenario, result, sizes);
  if (request.output) TRY(write_files(*request.output, scenario, result, sizes, report));
  out.say(format_count(scenario.workers, "worker") + ", " + fixed(scenario.duration_s, 0) + " s, " +
          format_count(result.all.resumes, "resume") + ", origin " +
          fixed(result.all.origin_per_s(), 1) + " reads/s, at most " +
          fixed(result.origin_peak_per_s(), 1) + "\n\n" + reads_text(result) + "\n" +
          phases_text(result));
  if (!sizes.empty()) out.say("\n" + sizes_text(scenario.sweep->tier, sizes));
  // Not among the results: they are the same on every machine.
  out.note(std::to_string(events) + " events in " + format_seconds(seconds) + ", " +
           fixed(static_cast<double>(events) / seconds, 0) + " a second; simulated caches " +
           human_bytes(result.memory_bytes) + "; costs measured on " + costs.cpu + ", " +
           format_count(costs.cores, "core"));
  out.result() = report;
  return {};
}

}  // namespace thaw
