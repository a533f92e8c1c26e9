// SPDX-License-Identifier: Apache-2.0
//
// LocalTier: the worker's disk. A hit is one read and a checksum a page; what the tiers below bring
// is written behind the answer.
#pragma once

#include <atomic>
#include <string>

#include "thaw/base/worker_pool.h"
#include "thaw/cache/disk_cache.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// Members may be called from many threads at once. Reads on `workers`, writes on `fills`, whose
/// queue bounds the chunks that wait to be written; above it they are not kept. Borrows all.
class LocalTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> parts{0};  // of the hits: some of a chunk's pages
    std::atomic<uint64_t> bytes{0};  // of hits
    std::atomic<uint64_t> misses{0};
    std::atomic<uint64_t> corrupt{0};  // found by `verify_always`; others are the cache's to count
    std::atomic<uint64_t> verify_ns{0};  // hashing by `verify_always`; checksums are the cache's
    std::atomic<uint64_t> fills{0};
    std::atomic<uint64_t> fills_refused{0};  // the queue was full
    std::atomic<uint64_t> fill_errors{0};
  };

  /// `verify_always` hashes each chunk that is read, for disks that are not trusted.
  LocalTier(DiskCache& cache, bool verify_always, WorkerPool& workers, WorkerPool& fills,
            ChunkSource& below)
      : cache_(cache),
        verify_always_(verify_always),
        workers_(workers),
        fills_(fills),
        below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  /// Not with `verify_always`: a name is that of a whole chunk.
  bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override;

  const Counters& counters() const { return counters_; }

 private:
  ChunkRef read(const ChunkRequest& request);
  void fetch_below(const ChunkRequest& request, Completion done);
  void fill(const ChunkRef& chunk);

  DiskCache& cache_;
  const bool verify_always_;
  WorkerPool& workers_;
  WorkerPool& fills_;
  ChunkSource& below_;
  Counters counters_;
};

}  // namespace thaw
