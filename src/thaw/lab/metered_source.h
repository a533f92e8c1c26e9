// SPDX-License-Identifier: Apache-2.0
//
// MeteredSource: a chunk source that counts what is asked of the one below it and how long the
// answers take.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "thaw/tier/chunk_source.h"

namespace thaw {

/// Members may be called from many threads at once. Borrows `below`.
class MeteredSource final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> fetches{0};       // chunks and parts of chunks
    std::atomic<uint64_t> fetch_ns{0};      // from asking to the answer, added up: they overlap
    std::atomic<uint64_t> memory_bytes{0};  // of chunks that were there when they were looked up
  };

  explicit MeteredSource(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId& id) override;
  void fetch(const ChunkRequest& request, Completion done) override;
  bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return below_.describe(); }

  const Counters& counters() const { return counters_; }

 private:
  ChunkSource& below_;
  Counters counters_;
};

}  // namespace thaw
