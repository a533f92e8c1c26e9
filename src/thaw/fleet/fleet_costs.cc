// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_costs.h"

#include <nlohmann/json.hpp>

#include "thaw/base/bytes.h"
#include "thaw/base/name.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTextBytesMax = 256;

/// Each lists its members once, for both directions.
template <typename Each, typename Costs>
void for_costs(Costs& costs, Each&& each) {
  each("chunk_bytes", costs.chunk_bytes);
  each("memory_hit_ns", costs.memory_hit_ns);
  each("local_read_ns", costs.local_read_ns);
  each("verify_ns", costs.verify_ns);
  each("decrypt_ns", costs.decrypt_ns);
  each("install_ns", costs.install_ns);
}

template <typename Each, typename Costs>
void for_facts(Costs& costs, Each&& each) {
  each("cpu", costs.cpu);
  each("kernel", costs.kernel);
  each("cores", costs.cores);
  each("disk", costs.disk);
  each("at", costs.at);
  each("thaw_version", costs.thaw_version);
}

/// Takes the members of one object; remembers the first that is wrong.
class MemberReader {
 public:
  MemberReader(const Json& object, std::string place) : object_(object), place_(std::move(place)) {}

  template <typename T>
  void operator()(const char* key, T& out) {
    known_ += (known_.empty() ? "" : ", ") + std::string(key);
    ++seen_;
    const auto found = object_.find(key);
    if (found == object_.end()) return reject(key, "is missing");
    if constexpr (std::is_same_v<T, std::string>) {
      if (!found->is_string()) return reject(key, "must be a text");
      out = found->template get<std::string>();
      if (out.size() > kTextBytesMax) reject(key, "is too long");
    } else {
      if (!found->is_number_unsigned() || found->template get<uint64_t>() > kCostNsMax ||
          found->template get<uint64_t>() > std::numeric_limits<T>::max()) {
        return reject(key, "must be a whole number from 0 to " + std::to_string(kCostNsMax));
      }
      out = static_cast<T>(found->template get<uint64_t>());
    }
  }

  Result<void> finish(size_t others) const {
    if (!error_.empty()) return fail(ErrorCode::kInvalid, error_);
    if (object_.size() == seen_ + others) return {};
    return fail(ErrorCode::kInvalid, place_ + " has members that are not known; known are " +
                                         known_ + (others != 0 ? ", measured_on" : ""));
  }

 private:
  void reject(const char* key, const std::string& why) {
    if (error_.empty()) error_ = place_ + ": " + key + " " + why;
  }

  const Json& object_;
  const std::string place_;
  std::string known_;
  std::string error_;
  size_t seen_ = 0;
};

}  // namespace

FleetCosts FleetCosts::for_bytes(uint64_t bytes) const {
  FleetCosts costs = *this;
  const double times = static_cast<double>(bytes) / chunk_bytes;
  for (uint64_t* each :
       {&costs.local_read_ns, &costs.verify_ns, &costs.decrypt_ns, &costs.install_ns}) {
    *each = static_cast<uint64_t>(static_cast<double>(*each) * times);
  }
  return costs;
}

std::string encode_costs(const FleetCosts& costs) {
  Json json;
  const auto put = [](Json& object) {
    return [&object](const char* key, const auto& value) { object[key] = value; };
  };
  for_costs(costs, put(json));
  for_facts(costs, put(json["measured_on"]));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<FleetCosts> decode_costs(std::string_view text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    return fail(ErrorCode::kInvalid,
                source + " is no JSON object; `thaw lab fleet --measure FILE` writes one");
  }
  FleetCosts costs;
  MemberReader members(json, source);
  for_costs(costs, members);
  TRY(members.finish(json.contains("measured_on") ? 1 : 0));
  if (!validate_chunk_bytes(costs.chunk_bytes)) {
    return fail(ErrorCode::kInvalid, source + ": chunk_bytes is no size of a chunk");
  }
  const auto where = json.find("measured_on");
  if (where == json.end() || !where->is_object()) {
    return fail(ErrorCode::kInvalid, source + " must say where it was made, in measured_on");
  }
  MemberReader facts(*where, source + ": measured_on");
  for_facts(costs, facts);
  TRY(facts.finish(0));
  return costs;
}

Result<FleetCosts> read_costs(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes text, read_file(path, kCostsBytesMax));
  return decode_costs(as_text(text), path);
}

}  // namespace thaw
