// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/run_scenario.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "thaw/lab/results_file.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[sizeof "2000-01-01T00:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

/// The processor's name; empty if the kernel does not tell.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

ResultsHeader header_of(const Scenario& scenario, const RunOptions& options) {
  ResultsHeader header;
  header.scenario = options.scenario_path;
  header.about = scenario.about;
  header.digest = scenario.digest();
  header.seed = scenario.seed;
  header.repetitions = scenario.repetitions;
  header.warm_up = scenario.warm_up;
  header.cells = scenario.cells.size();
  header.started = utc_now();
  header.thaw_version = options.thaw_version;
  header.cpu = cpu_name();
  utsname system{};
  if (::uname(&system) == 0) header.kernel = system.release;
  header.cores = std::thread::hardware_concurrency();
  header.memory_bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return header;
}

tl::unexpected<Error> interrupted(const RunOptions& options) {
  return fail(ErrorCode::kInterrupted, "stopped; what was measured is in " + options.output +
                                           ", and the same command goes on from there");
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
      if (progress.cancelled()) {
        return fail(ErrorCode::kInterrupted, "stopped; what was measured is in " + options.output +
                                                 ", and the same command goes on from there");
      }
      const Cell& cell = scenario.cells[index];
      progress.advance(1);
      if (found.contains({cell.key(), round})) {
        ++report.found;
        continue;
      }
      const uint64_t seed = scenario.seed + round * scenario.cells.size() + index;
      Result<Measurement> measured = playground->measure(cell, seed);
      // A terminal's signal goes to the VMMs as well.
      if (!measured && progress.cancelled()) return interrupted(options);
      if (!measured) return fail(std::move(measured).error());
      Measurement& measurement = *measured;
      measurement.repetition = round;
      measurement.warm_up = round < scenario.warm_up;
      measurement.at = utc_now();
      TRY(results.append(measurement));
      ++report.measured;
    }
  }
  return report;
}

}  // namespace thaw
