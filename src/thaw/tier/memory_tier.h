// SPDX-License-Identifier: Apache-2.0
//
// MemoryTier: verified chunks kept in RAM as ciphertext. A hit costs a decryption of the pages that
// are wanted, no hashing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct MemoryTierOptions {
  uint64_t bytes_max = uint64_t{256} << 20;  // of chunks besides those that others hold; 0: none
  /// What chunks have at most, as a rule. The tier keeps at most twice as many chunks as fit in
  /// bytes_max at this size, so that the policy's tables have a bound.
  uint32_t slot_bytes = kChunkBytesDefault;
  PolicyKind policy = PolicyKind::kS3Fifo;

  Result<void> validate() const;
};

/// Members may be called from many threads at once. Borrows `below`.
class MemoryTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> misses{0};  // fetches that went below
    std::atomic<uint64_t> evictions{0};
  };

  MemoryTier(const MemoryTierOptions& options, ChunkSource& below);

  ChunkRef lookup(const ChunkId& id) override;
  void fetch(const ChunkRequest& request, Completion done) override;
  bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) override {
    return below_.fetch_part(request, part, std::move(done));
  }
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override;

  const Counters& counters() const { return counters_; }
  uint64_t bytes() const;

 private:
  struct Entries {
    std::vector<ChunkRef> slots;
    std::vector<uint32_t> free;
    std::unordered_map<ChunkId, uint32_t> slot_of;
    std::unique_ptr<ReplacementPolicy> policy;
    uint64_t bytes = 0;
  };

  void insert(const ChunkRef& chunk);
  static ChunkRef evict_one(Entries& entries);

  const MemoryTierOptions options_;
  ChunkSource& below_;
  Counters counters_;
  Guarded<Entries> entries_;
};

}  // namespace thaw
