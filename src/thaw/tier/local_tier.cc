// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/local_tier.h"

#include <utility>

#include "thaw/base/log.h"
#include "thaw/base/stage_clock.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

void LocalTier::fetch(const ChunkRequest& request, Completion done) {
  if (!cache_.contains(request.id)) {
    counters_.misses.fetch_add(1, std::memory_order_relaxed);
    fetch_below(request, std::move(done));
    return;
  }
  const bool taken = workers_.submit(
      [this, request, done] {
        if (ChunkRef chunk = read(request)) {
          counters_.hits.fetch_add(1, std::memory_order_relaxed);
          counters_.bytes.fetch_add(chunk->buffer.size(), std::memory_order_relaxed);
          done(std::move(chunk));
        } else {
          counters_.misses.fetch_add(1, std::memory_order_relaxed);
          fetch_below(request, done);
        }
      },
      request.priority == Priority::kFault);
  if (!taken) {
    done(fail(ErrorCode::kExhausted,
              "chunk " + request.id.hex() +
                  " was not read from the disk cache: the queue of the fetch threads is full "
                  "(queue_max)"));
  }
}

bool LocalTier::fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) {
  if (verify_always_ || !cache_.contains(request.id)) return false;
  return workers_.submit(
      [this, request, part, done = std::move(done)] {
        std::optional<AlignedBuffer> buffer = cache_.read_part(request.id, request.pages, part);
        if (!buffer) {
          done(std::nullopt);
          return;
        }
        counters_.hits.fetch_add(1, std::memory_order_relaxed);
        counters_.parts.fetch_add(1, std::memory_order_relaxed);
        counters_.bytes.fetch_add(buffer->size(), std::memory_order_relaxed);
        done(ChunkPart{static_cast<uint32_t>(part.page), std::move(*buffer)});
      },
      request.priority == Priority::kFault);
}

ChunkRef LocalTier::read(const ChunkRequest& request) {
  std::optional<AlignedBuffer> buffer = cache_.read(request.id, request.pages);
  if (!buffer) return nullptr;
  auto chunk = std::make_shared<Chunk>(Chunk{request.id, std::move(*buffer)});
  if (!verify_always_) return chunk;
  Result<void> verified;
  {
    const StageClock clock(&counters_.verify_ns);
    Sha256 hasher;
    verified = verify_chunk(hasher, request.id, chunk->ciphertext());
  }
  if (verified) return chunk;
  counters_.corrupt.fetch_add(1, std::memory_order_relaxed);
  log_warning(cache_.path() + ": " + verified.error().message + "; it is dropped");
  cache_.drop(request.id);
  return nullptr;
}

void LocalTier::fetch_below(const ChunkRequest& request, Completion done) {
  below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> result) {
    if (result) fill(*result);
    done(std::move(result));
  });
}

void LocalTier::fill(const ChunkRef& chunk) {
  const bool taken = fills_.submit(
      [this, chunk] {
        const Result<FillOutcome> written = cache_.write(chunk->id, chunk->ciphertext());
        // The cache logs what its disk does wrong; a chunk that is not kept is read from below
        // again.
        (written ? counters_.fills : counters_.fill_errors).fetch_add(1, std::memory_order_relaxed);
      },
      /*urgent=*/false);
  if (!taken) counters_.fills_refused.fetch_add(1, std::memory_order_relaxed);
}

std::string LocalTier::describe() const {
  return "local(" + cache_.path() + ") -> " + below_.describe();
}

}  // namespace thaw
