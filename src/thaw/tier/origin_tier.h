// SPDX-License-Identifier: Apache-2.0
//
// OriginTier: the last tier, chunks as objects of a store. The store is not trusted: every chunk is
// checked against its name as it enters the worker, before anybody above sees a byte of it.
#pragma once

#include <atomic>
#include <string>

#include "thaw/base/worker_pool.h"
#include "thaw/store/object_store.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

class OriginTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> chunks{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> corrupt{0};
    std::atomic<uint64_t> errors{0};  // all failures, corrupt ones included
  };

  /// Reads, verifies and completes on the threads of `workers`; borrows both.
  OriginTier(const ObjectStore& store, WorkerPool& workers) : store_(store), workers_(workers) {}

  /// Always nullptr: an origin keeps nothing in memory.
  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override;
  std::string describe() const override { return "origin(" + store_.describe() + ")"; }

  const Counters& counters() const { return counters_; }

 private:
  Result<ChunkRef> read(const ChunkRequest& request);

  const ObjectStore& store_;
  WorkerPool& workers_;
  Counters counters_;
};

}  // namespace thaw
