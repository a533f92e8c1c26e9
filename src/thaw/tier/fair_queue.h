// SPDX-License-Identifier: Apache-2.0
//
// FairQueue: bounds the requests that are under way below it, and is fair about whose turn it is.
// Faults go before prefetches; within each, the flows (sessions) take turns, so that one that asks
// for thousands of chunks does not hold up one that asks for ten. It stands before the origin,
// where a request costs tens of milliseconds and the number under way is what protects the store
// when caches are empty.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "thaw/base/guarded.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct FairQueueOptions {
  uint32_t requests_max = 64;    // requests under way below
  uint32_t fault_reserve = 16;   // of them, those that prefetches leave to faults
  uint32_t queued_max = 65'536;  // requests that wait; above: kExhausted

  Result<void> validate() const;
};

/// Members may be called from many threads at once. Borrows `below`.
class FairQueue final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> dispatched{0};
    std::atomic<uint64_t> waited{0};    // of them, those that found the limit met
    std::atomic<uint64_t> promoted{0};  // prefetches that a fault moved ahead
    std::atomic<uint64_t> refused{0};   // the queue was full
    std::atomic<uint64_t> expired{0};   // the deadline passed in the queue
    std::atomic<uint64_t> in_flight_peak{0};
  };

  FairQueue(const FairQueueOptions& options, ChunkSource& below)
      : options_(options), below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  void promote(const ChunkId& id) override;
  std::string describe() const override;

  const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    ChunkRequest request;
    Completion done;
  };
  /// The requests of one class: each flow's in the order in which they came, and the flows in turn.
  struct Lane {
    std::unordered_map<uint64_t, std::list<Waiting>> flows;
    std::deque<uint64_t> turns;  // flows that have something waiting, the next one first

    bool empty() const { return turns.empty(); }
    void push(Waiting waiting);
    Waiting pop();
  };
  struct State {
    Lane faults;
    Lane prefetches;
    size_t queued = 0;
    uint32_t in_flight = 0;
    bool pumping = false;
  };

  void pump();
  std::optional<Waiting> next(State& state);
  void dispatch(Waiting waiting);

  const FairQueueOptions options_;
  ChunkSource& below_;
  Counters counters_;
  Guarded<State> state_;
};

}  // namespace thaw
