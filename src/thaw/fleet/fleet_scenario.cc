// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_scenario.h"

#include <algorithm>
#include <cmath>

#include "thaw/base/latency_shape.h"
#include "thaw/base/name.h"
#include "thaw/cache/cache_format.h"
#include "thaw/zone/placement.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

/// What memcached adds to a stripe: its item header, and the key.
constexpr uint64_t kItemOverheadBytes = 56 + 80;

uint32_t slots_of(uint64_t chunks, uint32_t grain_chunks) {
  return static_cast<uint32_t>(std::min<uint64_t>(chunks / grain_chunks, kPolicySlotsMax));
}

/// A cache that is configured must hold a grain, or the run would silently be without it.
Result<void> validate_holds(uint64_t bytes, uint32_t grains, const std::string& what) {
  if (bytes == 0 || grains > 0) return {};
  return fail(ErrorCode::kInvalid, what + " of " + human_bytes(bytes) +
                                       " does not hold one grain; make it larger or 0, or "
                                       "grain_chunks smaller");
}

Result<void> validate_latency(const std::string& key, const std::string& name) {
  if (name == "none" || latency_preset(name)) return {};
  return fail(ErrorCode::kInvalid,
              key + " is " + quote(name) + "; known are \"zone\", \"origin\" and \"none\"");
}

Result<void> validate_moment(const std::string& what, double at_s, double duration_s) {
  if (at_s >= 0 && at_s < duration_s) return {};
  return fail(ErrorCode::kInvalid, what + " at " + std::to_string(at_s) +
                                       " s is not within the run's duration_s of " +
                                       std::to_string(duration_s));
}

Result<void> validate_zone(const FleetScenario& scenario) {
  const FleetZone& zone = scenario.zone;
  if (zone.nodes == 0) {
    if (scenario.losses.empty()) return {};
    return fail(ErrorCode::kInvalid, "[[node_loss]] needs a [zone] with nodes");
  }
  TRY(validate_stripe_shape(zone.data_stripes, zone.parity_stripes));
  if (zone.nodes > kZoneNodesMax || zone.nodes < zone.data_stripes + zone.parity_stripes) {
    return fail(ErrorCode::kInvalid, "a zone of " + std::to_string(zone.nodes) +
                                         " nodes: it takes at least one for " + "each of " +
                                         std::to_string(zone.data_stripes + zone.parity_stripes) +
                                         " stripes, and at most " + std::to_string(kZoneNodesMax));
  }
  TRY(validate_latency("zone.latency", zone.latency));
  TRY(validate_holds(zone.node_bytes, scenario.node_grains(), "a zone node"));
  for (const FleetNodeLoss& loss : scenario.losses) {
    if (loss.node >= zone.nodes) {
      return fail(ErrorCode::kInvalid, "[[node_loss]] of node " + std::to_string(loss.node) +
                                           ": the nodes are 0 to " +
                                           std::to_string(zone.nodes - 1));
    }
    if (loss.back_s && *loss.back_s <= loss.at_s) {
      return fail(ErrorCode::kInvalid, "a lost node's back_s must be after its at_s");
    }
  }
  return {};
}

Result<void> validate_events(const FleetScenario& scenario) {
  for (const FleetCron& cron : scenario.crons) {
    TRY(validate_moment("[[cron]]", cron.first_s, scenario.duration_s));
  }
  for (const FleetBurst& burst : scenario.bursts) {
    TRY(validate_moment("[[burst]]", burst.at_s, scenario.duration_s));
    if (burst.function && (*burst.function == 0 || *burst.function > scenario.functions.count)) {
      return fail(ErrorCode::kInvalid, "[[burst]] of function " + std::to_string(*burst.function) +
                                           ": ranks are 1 to functions.count, " +
                                           std::to_string(scenario.functions.count) +
                                           "; without one it is of a new function");
    }
  }
  for (const FleetNodeLoss& loss : scenario.losses) {
    TRY(validate_moment("[[node_loss]]", loss.at_s, scenario.duration_s));
  }
  for (const FleetEmptying& emptying : scenario.emptyings) {
    TRY(validate_moment("[[empty]]", emptying.at_s, scenario.duration_s));
  }
  return {};
}

/// Counted in doubles: the product of hostile figures must not wrap.
Result<void> validate_amounts(const FleetScenario& scenario) {
  double arrivals = scenario.arrivals_per_s * scenario.duration_s;
  double functions = scenario.functions.count;
  for (const FleetCron& cron : scenario.crons) {
    arrivals += cron.functions * std::ceil(scenario.duration_s / cron.period_s);
    functions += cron.functions;
  }
  for (const FleetBurst& burst : scenario.bursts) {
    arrivals += burst.instances;
    functions += 1;
  }
  if (arrivals > static_cast<double>(kFleetArrivalsMax)) {
    return fail(ErrorCode::kExhausted, "more than " + std::to_string(kFleetArrivalsMax) +
                                           " resumes; make duration_s or arrivals_per_s smaller");
  }
  const double chunks = functions * std::max(scenario.functions.working_set_chunks,
                                             scenario.functions.working_set_chunks_max);
  if (chunks > std::numeric_limits<uint32_t>::max() / 2.0 || functions > kFleetFunctionsMax) {
    return fail(ErrorCode::kExhausted,
                "the functions have more than 2 billion chunks, or are more than " +
                    std::to_string(kFleetFunctionsMax));
  }
  if (scenario.duration_s / scenario.bin_s > static_cast<double>(kFleetBinsMax)) {
    return fail(ErrorCode::kExhausted, "more than " + std::to_string(kFleetBinsMax) +
                                           " bins over time; make bin_s larger");
  }
  return {};
}

}  // namespace

const char* to_string(FleetTier tier) {
  switch (tier) {
    case FleetTier::kMemory:
      return "memory";
    case FleetTier::kJoined:
      return "joined";
    case FleetTier::kLocal:
      return "local";
    case FleetTier::kZone:
      return "zone";
    case FleetTier::kOrigin:
      return "origin";
  }
  return "?";
}

Result<void> FleetScenario::validate() const {
  TRY(validate_chunk_bytes(chunk_bytes));
  const auto positive = [](double value, double most) { return value > 0 && value <= most; };
  if (!(duration_s >= 1 && duration_s <= kFleetSecondsMax) || !positive(bin_s, duration_s) ||
      !positive(phase_s, kFleetSecondsMax) || !(warm_up_s >= 0 && warm_up_s < duration_s)) {
    return fail(ErrorCode::kInvalid,
                "duration_s must be at least 1, phase_s and bin_s above 0, bin_s no more than "
                "duration_s, and warm_up_s less than duration_s");
  }
  if (workers == 0 || workers > kFleetWorkersMax) {
    return fail(ErrorCode::kInvalid,
                "workers must be from 1 to " + std::to_string(kFleetWorkersMax));
  }
  if (functions.working_set_chunks_max != 0 &&
      functions.working_set_chunks_max < functions.working_set_chunks) {
    return fail(ErrorCode::kInvalid,
                "functions.working_set_chunks_max is less than working_set_chunks");
  }
  if (functions.bases > functions.count) {
    return fail(ErrorCode::kInvalid, "there are more functions.bases than functions");
  }
  TRY(validate_amounts(*this));
  TRY(validate_latency("origin.latency", origin.latency));
  TRY(validate_events(*this));
  TRY(validate_zone(*this));
  TRY(validate_holds(worker.memory_bytes, memory_grains(), "worker.memory"));
  TRY(validate_holds(worker.local_bytes, local_grains(), "worker.local"));
  if (sweep) {
    if (sweep->tier == FleetTier::kZone && zone.nodes == 0) {
      return fail(ErrorCode::kInvalid, "a [sweep] of the zone needs a [zone] with nodes");
    }
    for (const uint64_t size : sweep->sizes) {
      FleetScenario sized = with_size(sweep->tier, size);
      sized.sweep.reset();
      TRY(sized.validate());
    }
  }
  return {};
}

uint32_t FleetScenario::memory_grains() const {
  return slots_of(worker.memory_bytes / chunk_bytes, grain_chunks);
}

uint32_t FleetScenario::local_grains() const {
  if (worker.local_bytes == 0) return 0;
  const Result<CacheGeometry> geometry = geometry_for(worker.local_bytes, chunk_bytes);
  return geometry ? slots_of(geometry->slots, grain_chunks) : 0;
}

uint64_t FleetScenario::stripe_item_bytes() const {
  const StripeShape shape{static_cast<uint8_t>(zone.data_stripes),
                          static_cast<uint8_t>(zone.parity_stripes)};
  return stripe_bytes(chunk_bytes / kPageBytes, shape) + kStripeHeaderBytes + kItemOverheadBytes;
}

uint32_t FleetScenario::node_grains() const {
  if (zone.nodes == 0) return 0;
  const double usable = static_cast<double>(zone.node_bytes) * zone.fill_share;
  return slots_of(static_cast<uint64_t>(usable) / stripe_item_bytes(), grain_chunks);
}

FleetScenario FleetScenario::with_size(FleetTier tier, uint64_t bytes) const {
  FleetScenario sized = *this;
  if (tier == FleetTier::kMemory) sized.worker.memory_bytes = bytes;
  if (tier == FleetTier::kLocal) sized.worker.local_bytes = bytes;
  if (tier == FleetTier::kZone) sized.zone.node_bytes = bytes;
  return sized;
}

}  // namespace thaw
