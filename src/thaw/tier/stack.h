// SPDX-License-Identifier: Apache-2.0
//
// TierStack: the worker's stack of chunk sources, wired in one place:
// single flight -> memory -> origin.
#pragma once

#include <cstdint>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/store/object_store.h"
#include "thaw/tier/chunk_source.h"
#include "thaw/tier/memory_tier.h"
#include "thaw/tier/origin_tier.h"
#include "thaw/tier/single_flight.h"

namespace thaw {

struct TierOptions {
  uint64_t memory_bytes_max = uint64_t{256} << 20;  // verified ciphertext kept in RAM

  Result<void> validate() const;
};

/// The process's worker threads: they read, verify, decrypt and install. One more than the cores,
/// so that one may wait for the disk.
struct WorkerOptions {
  unsigned threads = 0;  // 0: cores + 1
  uint32_t queue_max = 65536;

  Result<void> validate() const;
  unsigned thread_count() const;
};

/// Owns the tiers; borrows the store and the workers, which must be closed (or idle) before it
/// goes.
class TierStack {
 public:
  TierStack(const ObjectStore& store, WorkerPool& workers, const TierOptions& options)
      : origin(store, workers), memory(options.memory_bytes_max, origin), top(memory) {}

  OriginTier origin;
  MemoryTier memory;
  SingleFlight top;
};

}  // namespace thaw
