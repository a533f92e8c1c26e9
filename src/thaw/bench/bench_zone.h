// SPDX-License-Identifier: Apache-2.0
//
// A zone for benchmarks: real memcached servers on the loopback.
#pragma once

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/zone/memcached_process.h"
#include "thaw/zone/zone_client.h"

namespace thaw {

struct BenchZone {
  explicit BenchZone(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      servers.push_back(*MemcachedProcess::start({.memory_mib = 256, .threads = 1}));
    }
  }

  /// The servers as nodes; each answers as slowly as a zone does.
  ZoneOptions options(unsigned parity) const {
    ZoneOptions options;
    options.data_stripes = 4;
    options.parity_stripes = parity;
    options.item_bytes_max = 2 * kMiB;
    options.shape = latency_preset("zone");
    for (size_t i = 0; i < servers.size(); ++i) {
      options.nodes.push_back(
          {.name = "node" + std::to_string(i), .host = "127.0.0.1", .port = servers[i]->port()});
    }
    return options;
  }

  static void wait_until_up(const ZoneClient& zone, size_t nodes) {
    while (true) {
      size_t up = 0;
      for (const ZoneNodeStatus& node : zone.status().nodes) {
        up += node.state == ZoneNodeState::kUp ? 1 : 0;
      }
      if (up >= nodes) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  std::vector<std::unique_ptr<MemcachedProcess>> servers;
};

}  // namespace thaw
