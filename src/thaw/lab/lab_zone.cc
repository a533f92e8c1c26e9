// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_zone.h"

namespace thaw {
namespace {

constexpr unsigned kNodes = 5;
// Room for the working sets of a dozen functions in several chunk sizes; taken as it is filled.
constexpr unsigned kNodeMib = 1024;
constexpr unsigned kItemMibMax = 2;
constexpr uint32_t kTimeoutMs = 30'000;

}  // namespace

Result<std::unique_ptr<LabZone>> LabZone::start() {
  ASSIGN_OR_RETURN(auto servers, LoopbackZone::start(kNodes, {.memory_mib = kNodeMib,
                                                              .threads = 1,
                                                              .item_mib_max = kItemMibMax}));
  return std::unique_ptr<LabZone>(new LabZone(std::move(servers)));
}

ZoneOptions LabZone::options(uint64_t seed) const {
  ZoneOptions options = servers_->options(seed);
  options.set_timeouts(kTimeoutMs);
  return options;
}

Result<void> LabZone::empty() {
  filled_.clear();
  // flush_all spares what was stored within its second.
  return servers_->restart();
}

}  // namespace thaw
