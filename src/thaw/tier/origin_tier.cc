// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/origin_tier.h"

#include <thread>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/base/stage_clock.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/store/catalog.h"

namespace thaw {
namespace {

/// Bytes that are not the chunk's may have been damaged on their way: they are asked for once more,
/// and then the chunk counts as damaged where it lies.
constexpr int kReadsMax = 2;

}  // namespace

// One chunk on its way. Shared by the tier and the store's answer, which fills the buffer.
struct OriginTier::Fetch {
  ChunkRequest request;
  Completion done;
  std::shared_ptr<Chunk> chunk;
  int reads = 0;
};

OriginTier::OriginTier(const ObjectStore& store, WorkerPool& workers)
    : store_(store), workers_(workers), gate_(std::make_shared<Gate>()) {}

OriginTier::~OriginTier() { close(); }

void OriginTier::close() {
  const auto fetches = under_way_.with([](UnderWay& under_way) {
    under_way.closed = true;
    return under_way.fetches;
  });
  gate_->close_and_wait();
  for (const FetchRef& fetch : fetches) {
    settle(fetch, fail(ErrorCode::kInterrupted, "chunk " + fetch->request.id.hex() +
                                                    " was not fetched: the origin tier closes"));
  }
}

void OriginTier::fetch(const ChunkRequest& request, Completion done) {
  CHECK(request.pages > 0 && request.pages <= kChunkPagesMax);
  const auto fetch = std::make_shared<Fetch>();
  fetch->request = request;
  fetch->done = std::move(done);
  fetch->chunk = std::make_shared<Chunk>();
  fetch->chunk->id = request.id;
  fetch->chunk->buffer = AlignedBuffer(size_t{request.pages} * kPageBytes);
  const bool open = under_way_.with([&](UnderWay& under_way) {
    if (!under_way.closed) under_way.fetches.insert(fetch);
    return !under_way.closed;
  });
  if (!open) {
    fetch->done(fail(ErrorCode::kInterrupted,
                     "chunk " + request.id.hex() + " was not fetched: the origin tier closes"));
    return;
  }
  // On a worker, because a local store reads before start_get() returns.
  const bool taken =
      workers_.submit([this, fetch] { begin(fetch); }, request.priority == Priority::kFault);
  if (!taken) {
    settle(fetch, fail(ErrorCode::kExhausted, "chunk " + request.id.hex() +
                                                  " was not fetched: the queue of the fetch "
                                                  "threads is full (queue_max)"));
  }
}

void OriginTier::begin(const FetchRef& fetch) {
  ++fetch->reads;
  counters_.requests.fetch_add(1, std::memory_order_relaxed);
  const ChunkRequest& request = fetch->request;
  const auto reader = std::this_thread::get_id();
  // The buffer is borrowed by the store until the answer, so the answer keeps the fetch.
  store_.start_get(chunk_key(request.root_id, request.id), fetch->chunk->buffer.span(),
                   request.deadline, [this, fetch, reader, gate = gate_](Result<void> read) {
                     const Gate::Pass pass = gate->enter();
                     if (!pass) return;
                     if (std::this_thread::get_id() == reader) {
                       finish(fetch, std::move(read));
                     } else {
                       arrived(fetch, std::move(read));
                     }
                   });
}

// On a thread of the store, which has others to answer: hashing is for the workers.
void OriginTier::arrived(const FetchRef& fetch, Result<void> read) {
  const bool taken = workers_.submit([this, fetch, read] { finish(fetch, read); },
                                     fetch->request.priority == Priority::kFault);
  if (!taken) finish(fetch, std::move(read));
}

void OriginTier::finish(const FetchRef& fetch, Result<void> read) {
  if (read) {
    const StageClock clock(&counters_.verify_ns);
    Sha256 hasher;
    read = verify_chunk(hasher, fetch->request.id, fetch->chunk->ciphertext());
  }
  if (read) {
    counters_.chunks.fetch_add(1, std::memory_order_relaxed);
    counters_.bytes.fetch_add(fetch->chunk->buffer.size(), std::memory_order_relaxed);
    settle(fetch, ChunkRef(fetch->chunk));
    return;
  }
  const std::string place =
      store_.describe() + " " + chunk_key(fetch->request.root_id, fetch->request.id);
  if (read.error().code == ErrorCode::kCorrupt) {
    counters_.corrupt.fetch_add(1, std::memory_order_relaxed);
    if (fetch->reads < kReadsMax) {
      counters_.refetched.fetch_add(1, std::memory_order_relaxed);
      log_warning(place + ": " + read.error().message + "; it is read once more");
      begin(fetch);
      return;
    }
  }
  settle(fetch, fail(std::move(read).error().with_context(place)));
}

// Of the answer, a refusal and close(), the first decides.
void OriginTier::settle(const FetchRef& fetch, Result<ChunkRef> result) {
  const bool first =
      under_way_.with([&](UnderWay& under_way) { return under_way.fetches.erase(fetch) == 1; });
  if (!first) return;
  if (!result) counters_.errors.fetch_add(1, std::memory_order_relaxed);
  fetch->done(std::move(result));
}

}  // namespace thaw
