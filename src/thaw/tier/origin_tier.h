// SPDX-License-Identifier: Apache-2.0
//
// OriginTier: the last tier, chunks as objects of a store. The store is not trusted: every chunk is
// checked against its name as it enters the worker, before anybody above sees a byte of it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_set>

#include "thaw/base/gate.h"
#include "thaw/base/guarded.h"
#include "thaw/base/worker_pool.h"
#include "thaw/store/object_store.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// No thread waits for the store unless the store makes it (ObjectStore::start_get): any number of
/// requests may be under way. Verifies and completes on the threads of the workers.
class OriginTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> requests{0};  // reads begun: chunks asked for, and refetches
    std::atomic<uint64_t> chunks{0};    // verified
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> corrupt{0};    // answers that were not the chunk
    std::atomic<uint64_t> refetched{0};  // of them, those that were asked for once more
    std::atomic<uint64_t> verify_ns{0};  // hashing
    std::atomic<uint64_t> errors{0};     // fetches that failed, for whatever reason
  };

  /// Borrows both.
  OriginTier(const ObjectStore& store, WorkerPool& workers);
  ~OriginTier() override;

  /// Always nullptr: an origin keeps nothing in memory.
  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override;
  void promote(const ChunkId&) override {}
  std::string describe() const override { return "origin(" + store_.describe() + ")"; }

  /// Completes what is under way, and all that comes, with kInterrupted at once; the store's
  /// answers are dropped as they arrive, even after this object has gone. May be called again.
  void close();

  const Counters& counters() const { return counters_; }

 private:
  struct Fetch;
  using FetchRef = std::shared_ptr<Fetch>;

  void begin(const FetchRef& fetch);
  void arrived(const FetchRef& fetch, Result<void> read);
  void finish(const FetchRef& fetch, Result<void> read);
  void settle(const FetchRef& fetch, Result<ChunkRef> result);

  const ObjectStore& store_;
  WorkerPool& workers_;
  Counters counters_;
  // Shared with the answers of the store, which may come after this object has gone.
  const std::shared_ptr<Gate> gate_;
  struct UnderWay {
    std::unordered_set<FetchRef> fetches;
    bool closed = false;
  };
  Guarded<UnderWay> under_way_;
};

}  // namespace thaw
