// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/fleet_scenario_file.h"

#include "thaw/cli/config_section.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr double kBytesPerSecondMax = 1e15;
constexpr double kRequestsPerSecondMax = 1e9;
constexpr double kPeriodMin = 0.001;
constexpr uint64_t kSizeMax = uint64_t{1} << 50;

constexpr const char* kPolicyWords = "\"s3_fifo\", \"lru\", \"lru_k\"";
constexpr const char* kTierWords = "\"memory\", \"local\", \"zone\"";
constexpr const char* kLatencyWords = "\"zone\", \"origin\", \"none\"";

Result<void> cache_size(uint64_t bytes) {
  if (bytes <= kSizeMax) return {};
  return fail(ErrorCode::kInvalid, "must be at most 1024 TiB");
}

std::optional<PolicyKind> policy_of(std::string_view word) {
  const Result<PolicyKind> kind = parse_policy(word);
  return kind ? std::optional(*kind) : std::nullopt;
}

std::optional<FleetTier> cache_of(std::string_view word) {
  for (const FleetTier tier : {FleetTier::kMemory, FleetTier::kLocal, FleetTier::kZone}) {
    if (word == to_string(tier)) return tier;
  }
  return std::nullopt;
}

std::optional<std::string> latency_of(std::string_view word) {
  if (word == "zone" || word == "origin" || word == "none") return std::string(word);
  return std::nullopt;
}

Result<void> read_functions(ConfigSection section, FleetFunctions& out) {
  section.count("count", 1, kFleetFunctionsMax, out.count);
  section.number("zipf", 0, 10, out.zipf);
  section.count("working_set_chunks", 1, kFleetChunksMax, out.working_set_chunks);
  section.count("working_set_chunks_max", 0, kFleetChunksMax, out.working_set_chunks_max);
  section.number("common_share", 0, 1, out.common_share);
  section.count("bases", 1, kFleetFunctionsMax, out.bases);
  return section.finish();
}

Result<void> read_worker(ConfigSection section, FleetWorker& out) {
  section.count("threads", 1, kFleetThreadsMax, out.threads);
  section.count("lanes", 1, kFleetLanesMax, out.lanes);
  section.count("restores_max", 0, 1'000'000, out.restores_max);
  section.flag("single_flight", out.single_flight);
  section.number("link_bytes_per_s", 0, kBytesPerSecondMax, out.link_bytes_per_s);
  section.size("memory_size", out.memory_bytes, cache_size);
  section.choice("memory_policy", kPolicyWords, policy_of, out.memory_policy);
  section.size("local_size", out.local_bytes, cache_size);
  section.choice("local_policy", kPolicyWords, policy_of, out.local_policy);
  return section.finish();
}

Result<void> read_fleet_zone(ConfigSection section, FleetZone& out) {
  section.count("nodes", 0, 1'000'000, out.nodes);
  section.size("node_size", out.node_bytes, cache_size);
  section.number("fill_share", 0.01, 1, out.fill_share);
  section.count("data_stripes", 1, 255, out.data_stripes);
  section.count("parity_stripes", 0, 255, out.parity_stripes);
  section.choice("policy", kPolicyWords, policy_of, out.policy);
  section.choice("latency", kLatencyWords, latency_of, out.latency);
  section.number("node_bytes_per_s", 0, kBytesPerSecondMax, out.node_bytes_per_s);
  return section.finish();
}

Result<void> read_fleet_origin(ConfigSection section, FleetOrigin& out) {
  section.count("requests_max", 1, 1'000'000, out.requests_max);
  section.number("requests_per_s", 0, kRequestsPerSecondMax, out.requests_per_s);
  section.choice("latency", kLatencyWords, latency_of, out.latency);
  return section.finish();
}

Result<void> read_cron(ConfigSection section, FleetCron& out) {
  section.seconds("first_s", kFleetSecondsMax, out.first_s);
  section.number("period_s", kPeriodMin, kFleetSecondsMax, out.period_s);
  section.seconds("over_s", kFleetSecondsMax, out.over_s);
  section.count("functions", 1, kFleetFunctionsMax, out.functions);
  return section.finish();
}

Result<void> read_burst(ConfigSection section, FleetBurst& out) {
  section.seconds("at_s", kFleetSecondsMax, out.at_s);
  section.seconds("over_s", kFleetSecondsMax, out.over_s);
  section.count("instances", 1, kFleetArrivalsMax, out.instances);
  uint32_t function = 0;
  section.count("function", 1, kFleetFunctionsMax, function);
  if (function != 0) out.function = function;
  return section.finish();
}

Result<void> read_loss(ConfigSection section, FleetNodeLoss& out) {
  section.seconds("at_s", kFleetSecondsMax, out.at_s);
  section.count("node", 0, 1'000'000, out.node);
  double back_s = -1;
  section.seconds("back_s", kFleetSecondsMax, back_s);
  if (back_s >= 0) out.back_s = back_s;
  return section.finish();
}

Result<void> read_emptying(ConfigSection section, FleetEmptying& out) {
  section.seconds("at_s", kFleetSecondsMax, out.at_s);
  section.choice("tier", kTierWords, cache_of, out.tier);
  return section.finish();
}

/// [[name]], each table of it read into an element of `out`.
template <typename T>
void read_events(ConfigSection& top, const std::string& source, const std::string& name,
                 Result<void> (*read)(ConfigSection, T&), std::vector<T>& out) {
  top.list(name, [&](const toml::node& node, const std::string& place) -> Result<void> {
    const toml::table* const table = node.as_table();
    if (table == nullptr) {
      return fail(ErrorCode::kInvalid, place + " must be sections, [[" + name + "]]");
    }
    if (out.size() == kFleetEventsMax) {
      return fail(ErrorCode::kExhausted, place + ": at most " + std::to_string(kFleetEventsMax));
    }
    return read(ConfigSection(source, name, table), out.emplace_back());
  });
}

Result<uint64_t> sweep_size(const toml::node& node) {
  const auto text = node.value_exact<std::string>();
  if (!text) return fail(ErrorCode::kInvalid, "must hold texts like \"4GiB\"");
  ASSIGN_OR_RETURN(const uint64_t bytes, parse_size(*text));
  TRY(cache_size(bytes));
  return bytes;
}

Result<void> read_sweep(ConfigSection section, std::optional<FleetSweep>& out) {
  if (!section.exists()) return {};
  FleetSweep sweep;
  section.choice("tier", kTierWords, cache_of, sweep.tier);
  section.list("sizes", [&](const toml::node& node, const std::string& place) -> Result<void> {
    Result<uint64_t> bytes = sweep_size(node);
    if (!bytes) return fail(std::move(bytes).error().with_context(place));
    if (sweep.sizes.size() == kFleetSizesMax) {
      return fail(ErrorCode::kExhausted,
                  place + ": at most " + std::to_string(kFleetSizesMax) + " sizes");
    }
    sweep.sizes.push_back(*bytes);
    return {};
  });
  TRY(section.finish());
  if (sweep.sizes.empty()) return section.lacks("sizes, a list of at least one");
  out = std::move(sweep);
  return {};
}

Result<FleetScenario> read_root(const toml::table& root, const std::string& source) {
  FleetScenario scenario;
  ConfigSection top(source, "", &root);
  std::optional<std::string> about;
  top.text("about", about);
  scenario.about = about.value_or("");
  top.count("seed", 0, std::numeric_limits<int64_t>::max(), scenario.seed);
  top.number("duration_s", 1, kFleetSecondsMax, scenario.duration_s);
  top.number("warm_up_s", 0, kFleetSecondsMax, scenario.warm_up_s);
  top.number("phase_s", 0, kFleetSecondsMax, scenario.phase_s);
  top.number("bin_s", 0, kFleetSecondsMax, scenario.bin_s);
  top.count("workers", 1, kFleetWorkersMax, scenario.workers);
  top.number("arrivals_per_s", 0, 1e9, scenario.arrivals_per_s);
  top.count("workers_per_function", 0, kFleetWorkersMax, scenario.workers_per_function);
  top.size("chunk_size", scenario.chunk_bytes, validate_chunk_bytes);
  top.count("grain_chunks", 1, kFleetChunksMax, scenario.grain_chunks);
  const toml::table* const functions = top.table("functions");
  const toml::table* const worker = top.table("worker");
  const toml::table* const zone = top.table("zone");
  const toml::table* const origin = top.table("origin");
  const toml::table* const sweep = top.table("sweep");
  read_events(top, source, "cron", read_cron, scenario.crons);
  read_events(top, source, "burst", read_burst, scenario.bursts);
  read_events(top, source, "node_loss", read_loss, scenario.losses);
  read_events(top, source, "empty", read_emptying, scenario.emptyings);
  TRY(top.finish());
  TRY(read_functions(ConfigSection(source, "functions", functions), scenario.functions));
  TRY(read_worker(ConfigSection(source, "worker", worker), scenario.worker));
  TRY(read_fleet_zone(ConfigSection(source, "zone", zone), scenario.zone));
  TRY(read_fleet_origin(ConfigSection(source, "origin", origin), scenario.origin));
  TRY(read_sweep(ConfigSection(source, "sweep", sweep), scenario.sweep));
  if (Result<void> valid = scenario.validate(); !valid) {
    return fail(std::move(valid).error().with_context(source));
  }
  return scenario;
}

}  // namespace

Result<FleetScenario> parse_fleet_scenario(std::string_view text, const std::string& source) {
  try {
    const toml::table root = toml::parse(text);
    return read_root(root, source);
  } catch (const toml::parse_error& error) {
    std::ostringstream message;
    message << source << " line " << error.source().begin.line << ": " << error.description();
    return fail(ErrorCode::kInvalid, message.str());
  }
}

Result<FleetScenario> read_fleet_scenario(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes text, read_file(path, kFleetScenarioBytesMax));
  return parse_fleet_scenario(as_text(text), path);
}

}  // namespace thaw
