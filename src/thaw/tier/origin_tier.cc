// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/origin_tier.h"

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/store/catalog.h"

namespace thaw {

void OriginTier::fetch(const ChunkRequest& request, Completion done) {
  CHECK(request.pages > 0 && request.pages <= kChunkPagesMax);
  // std::function copies its target, so the completion is kept once and shared by both outcomes.
  auto completion = std::make_shared<Completion>(std::move(done));
  const bool taken = workers_.submit([this, request, completion] { (*completion)(read(request)); },
                                     request.priority == Priority::kFault);
  if (!taken) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    (*completion)(
        fail(ErrorCode::kExhausted, "chunk " + request.id.hex() +
                                        " was not fetched: the queue of the fetch threads "
                                        "is full (queue_max)"));
  }
}

Result<ChunkRef> OriginTier::read(const ChunkRequest& request) {
  auto chunk = std::make_shared<Chunk>();
  chunk->id = request.id;
  chunk->buffer = AlignedBuffer(size_t{request.pages} * kPageBytes);
  const std::string key = chunk_key(request.root_id, request.id);
  Result<void> outcome = store_.get_into(key, chunk->buffer.span());
  if (outcome) {
    Sha256 hasher;
    outcome = verify_chunk(hasher, request.id, chunk->ciphertext());
  }
  if (!outcome) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    if (outcome.error().code == ErrorCode::kCorrupt) {
      counters_.corrupt.fetch_add(1, std::memory_order_relaxed);
    }
    return fail(std::move(outcome).error().with_context(store_.describe() + " " + key));
  }
  counters_.chunks.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes.fetch_add(chunk->buffer.size(), std::memory_order_relaxed);
  return ChunkRef(std::move(chunk));
}

}  // namespace thaw
