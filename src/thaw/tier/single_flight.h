// SPDX-License-Identifier: Apache-2.0
//
// SingleFlight: however many sessions ask for a chunk at once, the tiers below fetch it once.
#pragma once

#include <atomic>
#include <string>
#include <unordered_map>
#include <vector>

#include "thaw/base/gate.h"
#include "thaw/base/guarded.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// The first to ask decides the flight's flow and deadline; a fault that joins a prefetch promotes
/// it. Borrows `below`.
class SingleFlight final : public ChunkSource {
 public:
  explicit SingleFlight(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  /// Parts are not shared: but who wants one of a chunk that is on its way joins that flight.
  bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "single_flight -> " + below_.describe(); }

  /// Refuses what comes (kInterrupted) and waits until every flight has landed and every completion
  /// has returned.
  void close() { gate_.close_and_wait(); }

  /// How many fetches joined one that was under way.
  uint64_t joined() const { return joined_.load(std::memory_order_relaxed); }

 private:
  struct Flight {
    std::vector<Completion> waiting;
    Priority priority = Priority::kFault;
    Gate::Pass pass;
  };

  void land(const ChunkId& id, const Result<ChunkRef>& result);

  ChunkSource& below_;
  std::atomic<uint64_t> joined_{0};
  Gate gate_;
  Guarded<std::unordered_map<ChunkId, Flight>> flights_;
};

}  // namespace thaw
