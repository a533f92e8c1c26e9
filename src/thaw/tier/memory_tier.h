// SPDX-License-Identifier: Apache-2.0
//
// MemoryTier: verified chunks kept in RAM as ciphertext, least recently used first out. A hit costs
// a decryption of the pages that are wanted, no hashing.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "thaw/base/guarded.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

class MemoryTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> misses{0};
    std::atomic<uint64_t> evictions{0};
  };

  /// Keeps at most `bytes_max` of chunks besides those that others hold; 0 keeps none. Borrows
  /// `below`.
  MemoryTier(uint64_t bytes_max, ChunkSource& below) : bytes_max_(bytes_max), below_(below) {}

  ChunkRef lookup(const ChunkId& id) override;
  void fetch(const ChunkRequest& request, Completion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override;

  const Counters& counters() const { return counters_; }
  uint64_t bytes() const;

 private:
  struct Entries {
    std::list<ChunkRef> order;  // most recently used first
    std::unordered_map<ChunkId, std::list<ChunkRef>::iterator> by_id;
    uint64_t bytes = 0;
  };

  void insert(const ChunkRef& chunk);

  const uint64_t bytes_max_;
  ChunkSource& below_;
  Counters counters_;
  Guarded<Entries> entries_;
};

}  // namespace thaw
