// SPDX-License-Identifier: Apache-2.0
//
// SingleFlight: however many sessions ask for a chunk at once, the tiers below fetch it once.
#pragma once

#include <atomic>
#include <string>
#include <unordered_map>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// A fault that joins a prefetch waits for it at the prefetch's priority: prefetchers keep few
/// requests under way, so that this wait is a chunk's read or two.
class SingleFlight final : public ChunkSource {
 public:
  explicit SingleFlight(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  std::string describe() const override { return "single_flight -> " + below_.describe(); }

  /// How many fetches joined one that was under way.
  uint64_t joined() const { return joined_.load(std::memory_order_relaxed); }

 private:
  void land(const ChunkId& id, const Result<ChunkRef>& result);

  ChunkSource& below_;
  std::atomic<uint64_t> joined_{0};
  Guarded<std::unordered_map<ChunkId, std::vector<Completion>>> flights_;
};

}  // namespace thaw
