// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/loopback_zone.h"

#include <chrono>
#include <thread>

#include "thaw/base/latency_shape.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr unsigned kDataStripes = 4;
constexpr std::chrono::seconds kUpMax{30};
constexpr std::chrono::milliseconds kPoll{2};

}  // namespace

Result<std::unique_ptr<LoopbackZone>> LoopbackZone::start(unsigned nodes,
                                                          const MemcachedOptions& server) {
  std::unique_ptr<LoopbackZone> zone(new LoopbackZone(server.item_mib_max));
  for (unsigned i = 0; i < nodes; ++i) {
    ASSIGN_OR_RETURN(auto process, MemcachedProcess::start(server));
    zone->servers_.push_back(std::move(process));
  }
  return zone;
}

ZoneOptions LoopbackZone::options(uint64_t seed, unsigned parity_stripes) const {
  ZoneOptions options;
  options.data_stripes = kDataStripes;
  options.parity_stripes = parity_stripes;
  options.item_bytes_max = item_mib_max_ * kMiB;
  options.shape = latency_preset("zone");
  options.seed = seed;
  for (size_t i = 0; i < servers_.size(); ++i) {
    options.nodes.push_back(
        {.name = "node" + std::to_string(i), .host = "127.0.0.1", .port = servers_[i]->port()});
  }
  return options;
}

Result<void> LoopbackZone::restart() {
  for (const auto& server : servers_) TRY(server->restart());
  return {};
}

Result<void> wait_until_up(const ZoneClient& zone, size_t nodes) {
  const auto limit = std::chrono::steady_clock::now() + kUpMax;
  while (true) {
    const size_t up = zone.status().nodes_up();
    if (up == nodes) return {};
    if (std::chrono::steady_clock::now() > limit) {
      return fail(ErrorCode::kUnavailable, "of " + std::to_string(nodes) +
                                               " memcached servers on the loopback " +
                                               std::to_string(up) + " answer");
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace thaw
