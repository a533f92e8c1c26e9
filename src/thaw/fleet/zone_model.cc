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
      grain_chunks_(scenario.grain_chunks),
      transfer_ns_(scenario.zone.node_bytes_per_s > 0
                       ? static_cast<int64_t>(static_cast<double>(scenario.stripe_item_bytes()) /
                                              scenario.zone.node_bytes_per_s * 1e9)
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

int64_t ZoneModel::send(Placement::Node node, int64_t now_ns) {
  int64_t& link_free = link_free_ns_[node];
  return link_free = std::max(now_ns, link_free) + transfer_ns_;
}

int64_t ZoneModel::enough_sent(std::span<int64_t> sent, int64_t now_ns) const {
  if (sent.empty()) return now_ns;
  const size_t last = std::min<size_t>(data_stripes_, sent.size()) - 1;
  std::nth_element(sent.begin(), sent.begin() + static_cast<ptrdiff_t>(last), sent.end());
  return sent[last];
}

ZoneModel::Answer ZoneModel::get(uint32_t grain, int64_t now_ns, FleetDraws& latency) {
  std::array<int64_t, kStripesMax> sent{};
  size_t stripes = 0;
  for (const Placement::Node node : nodes_of(grain, 0)) {
    if (up_[node] && caches_[node].touch(grain)) sent[stripes++] = send(node, now_ns);
  }
  if (stripes < data_stripes_) {
    // Known when enough servers have said that they have none: as long as a hit takes.
    return {.at_ns = now_ns + tables_.back().draw(latency)};
  }
  int64_t at_ns = enough_sent(std::span(sent).first(stripes), now_ns);
  for (uint32_t chunk = 1; chunk < grain_chunks_; ++chunk) {
    size_t count = 0;
    for (const Placement::Node node : nodes_of(grain, chunk)) {
      if (up_[node]) sent[count++] = send(node, now_ns);
    }
    at_ns = std::max(at_ns, enough_sent(std::span(sent).first(count), now_ns));
  }
  return {.hit = true,
          .degraded = stripes < placement_.slots(),
          .at_ns = at_ns + tables_[stripes - data_stripes_].draw(latency)};
}

void ZoneModel::put(uint32_t grain) {
  for (const Placement::Node node : nodes_of(grain, 0)) {
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
