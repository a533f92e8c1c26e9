// SPDX-License-Identifier: Apache-2.0
//
// TierStack: the worker's stack of chunk sources, wired in one place:
// single flight -> memory -> local disk -> zone -> fair queue -> origin. Disk and zone are
// optional.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "thaw/base/latency_shape.h"
#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/store/object_store.h"
#include "thaw/tier/chunk_source.h"
#include "thaw/tier/fair_queue.h"
#include "thaw/tier/local_tier.h"
#include "thaw/tier/memory_tier.h"
#include "thaw/tier/origin_tier.h"
#include "thaw/tier/shaped_source.h"
#include "thaw/tier/single_flight.h"
#include "thaw/tier/zone_tier.h"

namespace thaw {

struct LocalTierOptions {
  DiskCacheOptions cache;
  bool verify_always = false;  // hash what the disk yields, besides its checksums
};

struct TierOptions {
  MemoryTierOptions memory;  // verified ciphertext kept in RAM
  std::optional<LocalTierOptions> local;
  std::optional<ZoneOptions> zone;
  FairQueueOptions origin;
  uint32_t fills_max = 128;  // chunks that wait to be written to the disk and the zone
  /// For benchmarks and the lab: the origin answers as slowly as this.
  std::optional<LatencyShape> origin_shape;
  uint64_t seed = 1;  // of shapes

  Result<void> validate() const;
};

/// The process's worker threads: they read, verify, decrypt and install. One more than the cores,
/// so that one may wait for the disk.
struct WorkerOptions {
  unsigned threads = 0;  // 0: cores + 1
  uint32_t queue_max = 65536;
  CoreSet cores;  // where they run; empty: anywhere

  Result<void> validate() const;
  unsigned thread_count() const;
};

/// Owns the tiers; borrows the store and the workers.
class TierStack {
 public:
  /// A disk cache that cannot be opened (another process's, disk full, missing, read-only, failing)
  /// is logged and left out: slower, not broken. An error only if the options contradict themselves
  /// or the file: kInvalid, kUnsupported.
  static Result<std::unique_ptr<TierStack>> create(const ObjectStore& store, WorkerPool& workers,
                                                   const TierOptions& options);
  ~TierStack() { close(); }
  TierStack(const TierStack&) = delete;
  TierStack& operator=(const TierStack&) = delete;

  ChunkSource& top() { return *top_; }

  /// Ends what waits for the origin with kInterrupted, now and from now on: for when everybody
  /// above has been told to stop.
  void interrupt();

  /// interrupt(), waits until every completion has returned, and writes what waits to be written.
  /// The workers must still run, or have run all that was submitted. May be called again.
  void close();

  /// Writes what waits to be written now. Nothing may be fetched meanwhile.
  void finish_fills();
  size_t fills_waiting() const { return fills_->waiting(); }
  uint32_t fills_max() const { return fills_max_; }

  // For status and tests; what is not configured is nullptr.
  const OriginTier& origin() const { return *origin_; }
  const FairQueue& queue() const { return *queue_; }
  const MemoryTier& memory() const { return *memory_; }
  const SingleFlight& single_flight() const { return *top_; }
  const LocalTier* local() const { return local_.get(); }
  DiskCache* disk_cache() const { return disk_cache_.get(); }
  const ZoneTier* zone() const { return zone_.get(); }
  ZoneClient* zone_client() const { return zone_client_.get(); }

 private:
  explicit TierStack(uint32_t fills_max) : fills_max_(fills_max) {}

  const uint32_t fills_max_;
  // Each after those it borrows.
  std::unique_ptr<OriginTier> origin_;
  std::unique_ptr<ShapedSource> shaped_;
  std::unique_ptr<FairQueue> queue_;
  std::unique_ptr<ZoneClient> zone_client_;
  std::unique_ptr<DiskCache> disk_cache_;
  std::unique_ptr<WorkerPool> fills_;
  std::unique_ptr<ZoneTier> zone_;
  std::unique_ptr<LocalTier> local_;
  std::unique_ptr<MemoryTier> memory_;
  std::unique_ptr<SingleFlight> top_;
};

}  // namespace thaw
