// SPDX-License-Identifier: Apache-2.0
//
// TierStack: the worker's stack of chunk sources, wired once: memory -> single flight -> origin.
#pragma once

#include <memory>
#include <string>

#include "thaw/store/object_store.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct TierOptions {
  uint64_t memory_bytes_max = 256ull << 20;  // verified ciphertext kept in RAM
  unsigned fetch_threads = 4;                // threads that read, verify and complete chunks
  uint32_t fetch_queue_max = 65536;          // requests that may wait for them

  Result<void> validate() const;
};

/// Owns the tiers; borrows the store. Destroying it waits for the fetches under way.
class TierStack {
 public:
  TierStack(ObjectStore& store, const TierOptions& options);
  ~TierStack();

  ChunkSource& top();

 private:
  struct Tiers;
  std::unique_ptr<Tiers> tiers_;
};

}  // namespace thaw
