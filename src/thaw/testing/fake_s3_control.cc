// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/fake_s3_control.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace thaw {
namespace {

using Json = nlohmann::json;

constexpr double kMillionSeconds = 1e6;

struct RateName {
  const char* name;
  double S3Chaos::* rate;
};
constexpr RateName kRates[] = {{"error_rate", &S3Chaos::error_rate},
                               {"throttle_rate", &S3Chaos::throttle_rate},
                               {"forbid_rate", &S3Chaos::forbid_rate},
                               {"conflict_rate", &S3Chaos::conflict_rate},
                               {"reset_rate", &S3Chaos::reset_rate},
                               {"garbage_rate", &S3Chaos::garbage_rate},
                               {"lost_answer_rate", &S3Chaos::lost_answer_rate},
                               {"stall_rate", &S3Chaos::stall_rate},
                               {"cut_rate", &S3Chaos::cut_rate},
                               {"truncate_rate", &S3Chaos::truncate_rate},
                               {"wrong_length_rate", &S3Chaos::wrong_length_rate},
                               {"corrupt_rate", &S3Chaos::corrupt_rate},
                               {"stale_rate", &S3Chaos::stale_rate},
                               {"delete_error_rate", &S3Chaos::delete_error_rate},
                               {"delay_rate", &S3Chaos::delay_rate}};

Result<double> number(const Json& value, const std::string& name, double max) {
  if (!value.is_number()) return fail(ErrorCode::kInvalid, "'" + name + "' is no number");
  const auto got = value.get<double>();
  if (!(got >= 0 && got <= max)) return fail(ErrorCode::kInvalid, "'" + name + "' is out of range");
  return got;
}

Result<uint64_t> count(const Json& value, const std::string& name) {
  if (!value.is_number_unsigned()) {
    return fail(ErrorCode::kInvalid, "'" + name + "' is no count");
  }
  return value.get<uint64_t>();
}

Result<LatencyShape> decode_shape(const Json& value) {
  if (value.is_string()) {
    const auto preset = latency_preset(value.get<std::string>());
    if (!preset) return fail(ErrorCode::kInvalid, "'shape' is neither zone nor origin");
    return *preset;
  }
  if (!value.is_object()) return fail(ErrorCode::kInvalid, "'shape' is no shape");
  LatencyShape shape;
  for (const auto& [name, part] : value.items()) {
    double LatencyShape::* member = name == "p50_ms"        ? &LatencyShape::p50_ms
                                    : name == "p99_ms"      ? &LatencyShape::p99_ms
                                    : name == "p999_ms"     ? &LatencyShape::p999_ms
                                    : name == "bytes_per_s" ? &LatencyShape::bytes_per_s
                                                            : nullptr;
    if (member == nullptr) return fail(ErrorCode::kInvalid, "'shape' has no '" + name + "'");
    ASSIGN_OR_RETURN(shape.*member, number(part, name, std::numeric_limits<double>::max()));
  }
  if (!(shape.p50_ms > 0 && shape.p50_ms <= shape.p99_ms && shape.p99_ms <= shape.p999_ms)) {
    return fail(ErrorCode::kInvalid, "'shape' needs 0 < p50_ms <= p99_ms <= p999_ms");
  }
  return shape;
}

Result<std::vector<S3Operation>> decode_operations(const Json& value) {
  std::vector<S3Operation> operations;
  if (!value.is_array()) return fail(ErrorCode::kInvalid, "'only' is no list of operations");
  for (const Json& name : value) {
    size_t i = 0;
    while (i < kS3Operations && name != to_string(static_cast<S3Operation>(i))) ++i;
    if (i == kS3Operations) {
      return fail(ErrorCode::kInvalid, "'only' has an unknown operation " + name.dump());
    }
    operations.push_back(static_cast<S3Operation>(i));
  }
  return operations;
}

Result<void> decode_member(S3Chaos& chaos, const std::string& name, const Json& value) {
  for (const RateName& rate : kRates) {
    if (name != rate.name) continue;
    ASSIGN_OR_RETURN(chaos.*rate.rate, number(value, name, 1));
    return {};
  }
  if (name == "seed") {
    ASSIGN_OR_RETURN(chaos.seed, count(value, name));
  } else if (name == "first") {
    ASSIGN_OR_RETURN(chaos.first, count(value, name));
  } else if (name == "count") {
    ASSIGN_OR_RETURN(chaos.count, count(value, name));
  } else if (name == "delay_us") {
    ASSIGN_OR_RETURN(const double delay, number(value, name, kMillionSeconds * 1e6));
    chaos.delay = std::chrono::microseconds(static_cast<int64_t>(delay));
  } else if (name == "stall_max_ms") {
    ASSIGN_OR_RETURN(const double stall, number(value, name, kMillionSeconds * 1e3));
    chaos.stall_max = std::chrono::milliseconds(static_cast<int64_t>(stall));
  } else if (name == "shape") {
    ASSIGN_OR_RETURN(chaos.shape, decode_shape(value));
  } else if (name == "only") {
    ASSIGN_OR_RETURN(chaos.only, decode_operations(value));
  } else if (name == "hold" && value.is_boolean()) {
    chaos.hold = value.get<bool>();
  } else if (name == "key_prefix" && value.is_string()) {
    chaos.key_prefix = value.get<std::string>();
  } else {
    return fail(ErrorCode::kInvalid, "the plan has no '" + name + "' of this kind");
  }
  return {};
}

Result<S3Chaos> decode_plan(const Json& json) {
  if (!json.is_object()) return fail(ErrorCode::kInvalid, "the plan is no JSON object");
  S3Chaos chaos;
  for (const auto& [name, value] : json.items()) TRY(decode_member(chaos, name, value));
  double sum = 0;
  for (const RateName& rate : kRates) {
    const bool is_fault =
        rate.rate != &S3Chaos::delay_rate && rate.rate != &S3Chaos::delete_error_rate;
    if (is_fault) sum += chaos.*rate.rate;
  }
  if (sum > 1) return fail(ErrorCode::kInvalid, "the rates of faults are more than 1 together");
  return chaos;
}

Json report(const S3Server& server) {
  const S3Counts counts = server.counts();
  Json requests = Json::object();
  for (size_t i = 0; i < kS3Operations; ++i) {
    requests[to_string(static_cast<S3Operation>(i))] = counts.requests[i];
  }
  Json faults = Json::object();
  for (size_t i = 1; i < kS3Faults; ++i) {
    faults[to_string(static_cast<S3Fault>(i))] = counts.faults[i];
  }
  Json statuses = Json::object();
  for (const auto& [status, times] : counts.statuses) statuses[std::to_string(status)] = times;
  return {{"ok", true},
          {"requests", requests},
          {"faults", faults},
          {"statuses", statuses},
          {"connections", counts.connections},
          {"bytes_in", counts.bytes_in},
          {"bytes_out", counts.bytes_out},
          {"in_flight", counts.in_flight},
          {"in_flight_max", counts.in_flight_max},
          {"distinct_gets", server.distinct_gets()},
          {"violations", server.violations()}};
}

Json refusal(const std::string& message) { return {{"ok", false}, {"error", message}}; }

Json obey(S3Server& server, const Json& line) {
  if (!line.is_object() || line.size() != 1)
    return refusal("a line is a JSON object of one member");
  const std::string& name = line.begin().key();
  const Json& value = line.begin().value();
  if (name == "chaos") {
    Result<S3Chaos> chaos = decode_plan(value);
    if (!chaos) return refusal(chaos.error().message);
    const std::string plan = chaos->describe();
    server.set_chaos(std::move(*chaos));
    return {{"ok", true}, {"plan", plan}};
  }
  if (name == "clock_offset_s" && value.is_number_integer()) {
    server.set_clock_offset(std::chrono::seconds(value.get<int64_t>()));
    return {{"ok", true}};
  }
  if (name == "page_keys_max" && value.is_number_unsigned() && value != 0u) {
    server.set_page_keys_max(value.get<uint64_t>());
    return {{"ok", true}};
  }
  if (name == "forget" && value == true) {
    server.forget();
    return {{"ok", true}};
  }
  if (name == "report" && value == true) return report(server);
  return refusal("'" + name + "' is not understood");
}

}  // namespace

Result<S3Chaos> decode_s3_chaos(std::string_view json) {
  return decode_plan(Json::parse(json, nullptr, false));
}

std::string answer_control_line(S3Server& server, std::string_view line) {
  const Json parsed = Json::parse(line, nullptr, false);
  return obey(server, parsed).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace thaw
