// SPDX-License-Identifier: Apache-2.0
//
// HeldSource: a ChunkSource whose fetches wait until the test completes them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "thaw/tier/chunk_source.h"

namespace thaw {

/// Belongs to one thread.
class HeldSource : public ChunkSource {
 public:
  struct Held {
    ChunkRequest request;
    Completion done;
  };

  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override {
    fetched.push_back(request);
    held.push_back({request, std::move(done)});
  }
  void promote(const ChunkId& id) override { promoted.push_back(id); }
  std::string describe() const override { return "held"; }

  /// Completes the oldest that is held with an empty chunk of its name.
  void complete_one() {
    Held first = std::move(held.front());
    held.erase(held.begin());
    auto chunk = std::make_shared<Chunk>();
    chunk->id = first.request.id;
    first.done(ChunkRef(std::move(chunk)));
  }

  std::vector<ChunkRequest> fetched;  // all there ever were
  std::vector<Held> held;             // those that wait
  std::vector<ChunkId> promoted;
};

}  // namespace thaw
