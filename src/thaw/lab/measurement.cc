// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/measurement.h"

#include <nlohmann/json.hpp>

#include "thaw/base/name.h"

namespace thaw {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kHeaderVersion = 2;

// Each lists its figures once, for both directions.

template <typename Each, typename Figures>
void for_figures(Figures& m, const Each& each) {
  each("repetition", m.repetition);
  each("warm_up", m.warm_up);
  each("seed", m.seed);
  each("at", m.at);
  each("resume_ms", m.resume_ms);
  each("touches", m.touches);
  each("touch_mean_ns", m.touch_mean_ns);
  each("touch_p50_ns", m.touch_p50_ns);
  each("touch_p90_ns", m.touch_p90_ns);
  each("touch_p99_ns", m.touch_p99_ns);
  each("touch_max_ns", m.touch_max_ns);
  each("touch_ns", m.touch_ns);
  each("fetch_ns", m.fetch_ns);
  each("verify_ns", m.verify_ns);
  each("decrypt_ns", m.decrypt_ns);
  each("install_ns", m.install_ns);
  each("faults", m.faults);
  each("requests", m.requests);
  each("memory_bytes", m.memory_bytes);
  each("local_bytes", m.local_bytes);
  each("zone_bytes", m.zone_bytes);
  each("origin_bytes", m.origin_bytes);
  each("cpu_ms", m.cpu_ms);
  each("private_mib", m.private_mib);
  each("share_mib", m.share_mib);
  each("pages_checked", m.pages_checked);
}

template <typename Each, typename Facts>
void for_facts(Facts& h, const Each& each) {
  each("scenario", h.scenario);
  each("about", h.about);
  each("digest", h.digest);
  each("seed", h.seed);
  each("repetitions", h.repetitions);
  each("warm_up", h.warm_up);
  each("cells", h.cells);
  each("started", h.started);
  each("thaw_version", h.thaw_version);
  each("commit", h.commit);
  each("versions", h.versions);
  each("cpu", h.cpu);
  each("kernel", h.kernel);
  each("cores", h.cores);
  each("memory_bytes", h.memory_bytes);
}

tl::unexpected<Error> not_a_line(std::string_view line, const std::string& why) {
  return fail(ErrorCode::kInvalid, "not a line of results: " + why + ": " + quote(line));
}

}  // namespace

std::string encode_measurement(const Measurement& measurement) {
  Json json;
  for (const LabAxis& axis : lab_axes()) {
    json["cell"][axis.name] = axis_value(measurement.cell, axis.name);
  }
  for_figures(measurement, [&json](const char* name, const auto& value) { json[name] = value; });
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string encode_header(const ResultsHeader& header) {
  Json json{{"thaw_lab", kHeaderVersion}};
  for_facts(header, [&json](const char* name, const auto& value) { json[name] = value; });
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Measurement> decode_measurement(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    Measurement measurement;
    for (const auto& [axis, value] : json.at("cell").items()) {
      TRY(set_axis(measurement.cell, axis, value.get<std::string>()));
    }
    for_figures(measurement,
                [&json](const char* name, auto& value) { json.at(name).get_to(value); });
    if (measurement.resume_ms.empty()) return not_a_line(line, "no resume");
    return measurement;
  } catch (const Json::exception& error) {
    return not_a_line(line, error.what());
  }
}

Result<ResultsHeader> decode_header(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    if (json.at("thaw_lab") != kHeaderVersion) {
      return fail(ErrorCode::kUnsupported, "results of version " + json.at("thaw_lab").dump() +
                                               "; this thaw reads version " +
                                               std::to_string(kHeaderVersion));
    }
    ResultsHeader header;
    for_facts(header, [&json](const char* name, auto& value) { json.at(name).get_to(value); });
    return header;
  } catch (const Json::exception& error) {
    return not_a_line(line, error.what());
  }
}

}  // namespace thaw
