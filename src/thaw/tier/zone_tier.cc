// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/zone_tier.h"

#include <utility>

#include "thaw/base/log.h"
#include "thaw/base/stage_clock.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

void ZoneTier::fetch(const ChunkRequest& request, Completion done) {
  zone_.get(request.id, request.pages, request.deadline,
            [this, request, done = std::move(done)](std::unique_ptr<StripeSet> came) {
              // Shared because tasks are copied.
              const std::shared_ptr<StripeSet> stripes = std::move(came);
              if (stripes == nullptr) {
                counters_.misses.fetch_add(1, std::memory_order_relaxed);
                fetch_below(request, done);
                return;
              }
              // On a loop that has other nodes to answer: hashing is for the workers.
              const bool taken = workers_.submit(
                  [this, request, stripes, done] { arrived(request, stripes, done); },
                  request.priority == Priority::kFault);
              if (!taken) arrived(request, stripes, done);
            });
}

void ZoneTier::arrived(const ChunkRequest& request, const std::shared_ptr<StripeSet>& stripes,
                       const Completion& done) {
  if (ChunkRef chunk = assemble(request, *stripes)) {
    counters_.hits.fetch_add(1, std::memory_order_relaxed);
    counters_.bytes.fetch_add(chunk->buffer.size(), std::memory_order_relaxed);
    done(std::move(chunk));
    return;
  }
  counters_.corrupt.fetch_add(1, std::memory_order_relaxed);
  // The stripes stay until the chunk from the origin takes their place, unless it never comes.
  fetch_below(request, done);
}

ChunkRef ZoneTier::assemble(const ChunkRequest& request, StripeSet& stripes) {
  Result<AlignedBuffer> buffer = std::move(stripes).assemble();
  Result<void> outcome;
  if (buffer) {
    auto chunk = std::make_shared<Chunk>(Chunk{request.id, std::move(*buffer)});
    const StageClock clock(&counters_.verify_ns);
    Sha256 hasher;
    outcome = verify_chunk(hasher, request.id, chunk->ciphertext());
    if (outcome) return chunk;
  } else {
    outcome = fail(buffer.error());
  }
  log_warning("the zone's stripes are not taken: " + outcome.error().message);
  return nullptr;
}

void ZoneTier::fetch_below(const ChunkRequest& request, Completion done) {
  below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> result) {
    if (result) fill(*result);
    done(std::move(result));
  });
}

void ZoneTier::fill(const ChunkRef& chunk) {
  const bool taken = fills_.submit(
      [this, chunk] {
        zone_.put(chunk->id, chunk->ciphertext(), chunk, [](size_t) {});
        counters_.fills.fetch_add(1, std::memory_order_relaxed);
      },
      /*urgent=*/false);
  if (!taken) counters_.fills_refused.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace thaw
