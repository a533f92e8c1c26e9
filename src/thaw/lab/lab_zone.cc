// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_zone.h"

#include "thaw/base/latency_shape.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr unsigned kNodes = 5;
// Room for the working sets of a dozen functions in several chunk sizes; taken as it is filled.
constexpr unsigned kNodeMib = 1024;
constexpr unsigned kItemMibMax = 2;

}  // namespace

Result<std::unique_ptr<LabZone>> LabZone::start() {
  auto zone = std::make_unique<LabZone>();
  for (unsigned i = 0; i < kNodes; ++i) {
    ASSIGN_OR_RETURN(auto server,
                     MemcachedProcess::start(
                         {.memory_mib = kNodeMib, .threads = 1, .item_mib_max = kItemMibMax}));
    zone->servers_.push_back(std::move(server));
  }
  return zone;
}

ZoneOptions LabZone::options(uint64_t seed) const {
  ZoneOptions options;
  options.item_bytes_max = kItemMibMax * kMiB;
  options.shape = latency_preset("zone");
  options.seed = seed;
  for (size_t i = 0; i < servers_.size(); ++i) {
    options.nodes.push_back(
        {.name = "node" + std::to_string(i), .host = "127.0.0.1", .port = servers_[i]->port()});
  }
  return options;
}

Result<void> LabZone::empty() {
  filled_.clear();
  // flush_all spares what was stored within its second.
  for (const auto& server : servers_) TRY(server->restart());
  return {};
}

}  // namespace thaw
