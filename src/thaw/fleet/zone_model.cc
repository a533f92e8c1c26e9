// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/zone_model.h"

#include <algorithm>
#include <array>

#include "thaw/base/check.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

Placement make_placement(const FleetZone& zone) {
  std::vector<WeightedNode> nodes;
  for (uint32_t i = 0; i < zone.nodes; ++i) nodes.push_back({"node" + std::to_string(i)});
  Result<Placement> placement = Placement::create(nodes, zone.data_stripes + zone.parity_stripes);
  CHECK(placement.has_value());  // validate() has seen the numbers
  return std::move(*placement);
}

}  // namespace

ZoneModel::ZoneModel(const FleetScenario& scenario,
                     std::function<uint32_t(uint32_t grain)> partition_of)
    : data_stripes_(scenario.zone.data_stripes),
      transfer_ns_(scenario.zone.node_bytes_per_s > 0
                       ? static_cast<double>(scenario.stripe_item_bytes()) * scenario.grain_chunks /
                             scenario.zone.node_bytes_per_s * 1e9
                       : 0),
      partition_of_(std::move(partition_of)),
      placement_(make_placement(scenario.zone)),
      up_(scenario.zone.nodes, true),
      link_free_ns_(scenario.zone.nodes, 0) {
  for (uint32_t i = 0; i < scenario.zone.nodes; ++i) {
    caches_.emplace_back(scenario.zone.policy, scenario.node_grains());
  }
  const LatencyShape shape = latency_preset(scenario.zone.latency).value_or(LatencyShape{});
  for (uint32_t extra = 0; extra <= scenario.zone.parity_stripes; ++extra) {
    tables_.emplace_back(shape, data_stripes_, data_stripes_ + extra, scenario.grain_chunks);
  }
}

ZoneModel::Answer ZoneModel::get(uint32_t grain, int64_t now_ns, FleetDraws& latency) {
  std::array<int64_t, kStripesMax> sent{};
  size_t stripes = 0;
  for (const Placement::Node node : nodes_of(grain)) {
    if (!up_[node] || !caches_[node].touch(grain)) continue;
    int64_t& link_free = link_free_ns_[node];
    link_free = std::max(now_ns, link_free) + static_cast<int64_t>(transfer_ns_);
    sent[stripes++] = link_free;
  }
  if (stripes < data_stripes_) {
    // Known when enough servers have said that they have none: as long as a hit takes.
    return {.at_ns = now_ns + tables_.back().draw(latency)};
  }
  const auto last = sent.begin() + data_stripes_ - 1;
  std::nth_element(sent.begin(), last, sent.begin() + static_cast<ptrdiff_t>(stripes));
  const LatencyTable& table = tables_[stripes - data_stripes_];
  return {
      .hit = true, .degraded = stripes < placement_.slots(), .at_ns = *last + table.draw(latency)};
}

void ZoneModel::put(uint32_t grain) {
  for (const Placement::Node node : nodes_of(grain)) {
    if (up_[node]) caches_[node].insert(grain);
  }
}

void ZoneModel::lose(uint32_t node) {
  up_[node] = false;
  caches_[node].clear();
}

void ZoneModel::clear() {
  for (GrainCache& cache : caches_) cache.clear();
}

uint64_t ZoneModel::memory_bytes() const {
  uint64_t bytes = 0;
  for (const GrainCache& cache : caches_) bytes += cache.memory_bytes();
  return bytes;
}

}  // namespace thaw
