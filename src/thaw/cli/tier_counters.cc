// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/tier_counters.h"

#include <atomic>

namespace thaw {
namespace {

uint64_t value(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

JsonObject local_counters(const TierStack& tiers) {
  const LocalTier::Counters& counts = tiers.local()->counters();
  const DiskCacheStatus disk = tiers.disk_cache()->status();
  JsonObject object;
  object.set("hits", value(counts.hits))
      .set("parts", value(counts.parts))
      .set("bytes", value(counts.bytes))
      .set("misses", value(counts.misses))
      .set("corrupt", value(counts.corrupt) + disk.corrupt)
      .set("read_errors", disk.read_errors)
      .set("write_errors", disk.write_errors)
      .set("fills", value(counts.fills))
      .set("fills_refused", value(counts.fills_refused) + disk.refused + disk.paused)
      .set("too_large", disk.too_large)
      .set("evictions", disk.evictions)
      .set("writes_paused", disk.writes_paused);
  return object;
}

JsonObject zone_counters(const TierStack& tiers) {
  const ZoneTier::Counters& counts = tiers.zone()->counters();
  const ZoneStatus status = tiers.zone_client()->status();
  uint64_t timeouts = 0, failures = 0, corrupt = 0, breakers = 0;
  std::vector<JsonObject> nodes;
  for (const ZoneNodeStatus& node : status.nodes) {
    timeouts += node.timeouts;
    failures += node.failures;
    corrupt += node.corrupt;
    breakers += node.breaker_opened;
    nodes.emplace_back()
        .set("name", node.name)
        .set("state", to_string(node.state))
        .set("requests", node.requests)
        .set("hits", node.hits);
  }
  JsonObject object;
  object.set("hits", value(counts.hits))
      .set("bytes", value(counts.bytes))
      .set("degraded", status.hits_degraded)
      .set("misses", value(counts.misses))
      .set("corrupt", value(counts.corrupt))
      .set("stripes_corrupt", corrupt)
      .set("timeouts", timeouts)
      .set("failures", failures)
      .set("breaker_opened", breakers)
      .set("gets_refused", status.gets_refused)
      .set("fills", value(counts.fills))
      .set("fills_refused", value(counts.fills_refused) + status.puts_refused)
      .set("nodes", nodes);
  return object;
}

}  // namespace

JsonObject tier_counters(const TierStack& tiers) {
  JsonObject object;
  object.set("memory", JsonObject()
                           .set("hits", value(tiers.memory().counters().hits))
                           .set("misses", value(tiers.memory().counters().misses))
                           .set("evictions", value(tiers.memory().counters().evictions)));
  if (tiers.local() != nullptr) object.set("local", local_counters(tiers));
  if (tiers.zone() != nullptr) object.set("zone", zone_counters(tiers));
  const OriginTier::Counters& origin = tiers.origin().counters();
  const FairQueue::Counters& queue = tiers.queue().counters();
  object.set("origin", JsonObject()
                           .set("requests", value(origin.requests))
                           .set("chunks", value(origin.chunks))
                           .set("bytes", value(origin.bytes))
                           .set("corrupt", value(origin.corrupt))
                           .set("refetched", value(origin.refetched))
                           .set("errors", value(origin.errors))
                           .set("waited", value(queue.waited))
                           .set("promoted", value(queue.promoted))
                           .set("refused", value(queue.refused))
                           .set("expired", value(queue.expired))
                           .set("in_flight_peak", value(queue.in_flight_peak)));
  object.set("joined", tiers.single_flight().joined());
  return object;
}

JsonObject plain_counters(const PlainCache& plain) {
  JsonObject object;
  object.set("fills", value(plain.counters().fills))
      .set("refused", value(plain.counters().refused))
      .set("bytes", value(plain.counters().bytes));
  return object;
}

std::string tiers_text(const TierStack& tiers) {
  std::string text = "chunks: ";
  if (tiers.local() != nullptr) {
    text += std::to_string(value(tiers.local()->counters().hits)) + " from the disk, ";
  }
  if (tiers.zone() != nullptr) {
    text += std::to_string(value(tiers.zone()->counters().hits)) + " from the zone, ";
  }
  return text + std::to_string(value(tiers.origin().counters().chunks)) + " from the origin";
}

}  // namespace thaw
