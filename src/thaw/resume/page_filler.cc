// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/page_filler.h"

#include <algorithm>
#include <array>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/resume/slot_install.h"

namespace thaw {

PageFiller::PageFiller(const FillContext& context, const PageFillOptions& options)
    : context_(context),
      options_(options),
      scratch_(context.scratch),
      held_(context.image.chunk_count()) {
  CHECK(context.memory.unit_pages() == 1 && options.held_chunks_max > 0);
  CHECK(options.around_pages > 0 && options.around_pages <= kInstallBatchPages);
}

void PageFiller::fault(uint64_t page) {
  const PageLocation location = context_.image.map().locate(page);
  if (location.zero || context_.memory.is_removed(page)) {
    context_.counters.zero_faults.fetch_add(1, std::memory_order_relaxed);
    settle(context_.host, page,
           place_zero_fault(context_.image, context_.memory, page, options_.zero_window_pages),
           [this, page] { fault(page); });
    return;
  }
  if (wake_stale(context_.memory, page, context_.counters)) return;
  if (const auto placed = place_plain_fault(context_, page, context_.counters)) {
    settle(context_.host, page, *placed, [this, page] { fault(page); });
    return;
  }
  if (const Chunk* chunk = held_[location.chunk].get()) {
    context_.counters.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, *chunk);
    return;
  }
  fault_absent(page, location);
}

void PageFiller::serve(uint64_t page, const PageLocation& location, const Chunk& chunk) {
  (*scratch_).cipher.set_key(context_.image.manifest().chunk_key(location.chunk));
  decrypt_pages((*scratch_).cipher, chunk.ciphertext(), location.slot, 1, (*scratch_).plain.data());
  // The event thread is the one that closes the install gate, so it need not pass it.
  const PlaceResult result = context_.memory.place_faulting(page, (*scratch_).plain.data());
  if (result.placed != Placed::kDone) {
    settle(context_.host, page, result, [this, page] { fault(page); });
  } else if (options_.around_pages > 1) {
    serve_neighbours(page, location.chunk, chunk.ciphertext());
  }
}

// The guest runs on already; what becomes of the neighbours is not worth a retry.
void PageFiller::serve_neighbours(uint64_t page, uint32_t chunk, ByteSpan ciphertext) {
  const PageMap& map = context_.image.map();
  const uint64_t begin = align_down(page, options_.around_pages);
  const uint64_t count = std::min(options_.around_pages, map.page_count() - begin);
  std::array<SlotRun, kInstallBatchPages> runs;
  size_t found = 0;
  map.for_each_run(begin, count, [&](uint64_t at, const PageLocation& location) {
    if (location.zero || location.chunk != chunk) return;
    runs[found++] = {static_cast<uint32_t>(at), location.slot,
                     static_cast<uint32_t>(location.count)};
  });
  const PlaceResult result =
      install_slots(context_.memory, ciphertext, std::span(runs).first(found), *scratch_);
  if (result.placed == Placed::kGone) context_.host.vmm_gone();
}

void PageFiller::fault_absent(uint64_t page, const PageLocation& location) {
  const uint32_t number = location.chunk;
  if (const auto found = waiting_.find(number); found != waiting_.end()) {
    context_.counters.joined.fetch_add(1, std::memory_order_relaxed);
    found->second.push_back(page);
    return;
  }
  for (Offer& offer : offers_.with([](auto& offers) { return std::exchange(offers, {}); })) {
    if (held_[offer.first] == nullptr) hold(offer.first, std::move(offer.second));
  }
  if (const Chunk* chunk = held_[number].get()) {
    context_.counters.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, *chunk);
    return;
  }
  context_.counters.chunks.fetch_add(1, std::memory_order_relaxed);
  const Manifest& manifest = context_.image.manifest();
  if (ChunkRef ref = context_.source.lookup(manifest.clear.chunks[number].id)) {
    context_.counters.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, *ref);
    hold(number, std::move(ref));
    return;
  }
  context_.counters.misses.fetch_add(1, std::memory_order_relaxed);
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

void PageFiller::offer(uint32_t chunk, ChunkRef ref) {
  offers_.with([&](auto& offers) {
    // More than are held would push each other out.
    if (offers.size() < options_.held_chunks_max) offers.emplace_back(chunk, std::move(ref));
  });
}

void PageFiller::hold(uint32_t chunk, ChunkRef ref) {
  if (order_.size() == options_.held_chunks_max) {
    held_[order_.front()].reset();
    order_.pop_front();
  }
  held_[chunk] = std::move(ref);
  order_.push_back(chunk);
}

}  // namespace thaw
