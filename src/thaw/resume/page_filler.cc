// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/page_filler.h"

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

PageFiller::PageFiller(const FillContext& context, size_t chunks_max, uint64_t zero_window_pages)
    : context_(context),
      chunks_max_(chunks_max),
      zero_window_pages_(zero_window_pages),
      scratch_(1),
      held_(context.image.chunk_count()) {
  CHECK(context.memory.unit_pages() == 1 && chunks_max > 0);
}

void PageFiller::fault(uint64_t page) {
  const PageLocation location = context_.image.map().locate(page);
  if (location.zero || context_.memory.is_removed(page)) {
    counters_.zero_faults.fetch_add(1, std::memory_order_relaxed);
    settle(context_.host, page,
           place_zero_fault(context_.image, context_.memory, page, zero_window_pages_),
           [this, page] { fault(page); });
    return;
  }
  if (wake_stale(context_.memory, page, counters_)) return;
  if (const Chunk* chunk = held_[location.chunk].get()) {
    counters_.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, *chunk);
    return;
  }
  fault_absent(page, location);
}

void PageFiller::serve(uint64_t page, const PageLocation& location, const Chunk& chunk) {
  scratch_.cipher.set_key(context_.image.manifest().chunk_key(location.chunk));
  decrypt_pages(scratch_.cipher, chunk.ciphertext(), location.slot, 1, scratch_.plain.data());
  // The event thread is the one that closes the install gate, so it need not pass it.
  const PlaceResult result = context_.memory.place_faulting(page, scratch_.plain.data());
  if (result.placed != Placed::kDone) {
    settle(context_.host, page, result, [this, page] { fault(page); });
  }
}

void PageFiller::fault_absent(uint64_t page, const PageLocation& location) {
  const uint32_t number = location.chunk;
  if (const auto found = waiting_.find(number); found != waiting_.end()) {
    counters_.joined.fetch_add(1, std::memory_order_relaxed);
    found->second.push_back(page);
    return;
  }
  counters_.chunks.fetch_add(1, std::memory_order_relaxed);
  const Manifest& manifest = context_.image.manifest();
  if (ChunkRef ref = context_.source.lookup(manifest.clear.chunks[number].id)) {
    counters_.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, *ref);
    hold(number, std::move(ref));
    return;
  }
  counters_.misses.fetch_add(1, std::memory_order_relaxed);
  // Shared because completions are copied.
  const auto pass = std::make_shared<Gate::Pass>(context_.gate.enter());
  if (!*pass) return;
  waiting_[number].push_back(page);
  context_.fetches.begin();
  // The request has a deadline and so reads the clock: only for what is not in memory.
  const ChunkRequest request = context_.fetches.request(manifest, number, Priority::kFault);
  context_.source.fetch(request, [this, number, pass](Result<ChunkRef> result) {
    context_.fetches.end();
    context_.host.retry(
        [this, number, pass, result = std::move(result)] { arrive(number, result); });
  });
}

void PageFiller::arrive(uint32_t chunk, const Result<ChunkRef>& result) {
  const std::vector<uint64_t> pages = std::move(waiting_.extract(chunk).mapped());
  if (!result) {
    context_.host.fail_closed(pages.front(), result.error());
    return;
  }
  hold(chunk, *result);
  for (const uint64_t page : pages) {
    if (context_.memory.is_removed(page)) {
      fault(page);
    } else {
      serve(page, context_.image.map().locate(page), **result);
    }
  }
}

void PageFiller::hold(uint32_t chunk, ChunkRef ref) {
  if (order_.size() == chunks_max_) {
    held_[order_.front()].reset();
    order_.pop_front();
  }
  held_[chunk] = std::move(ref);
  order_.push_back(chunk);
}

}  // namespace thaw
