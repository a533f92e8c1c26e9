// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/page_filler.h"

#include <algorithm>
#include <array>

#include "thaw/base/check.h"
#include "thaw/base/stage_clock.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/resume/slot_install.h"

namespace thaw {
namespace {

// A part is an eighth of a chunk of 512 KiB. When parts have cost half of what the whole costs,
// more are likely to come, and whatever comes has cost at most half as much again as was needed.
constexpr uint8_t kPartsMax = 4;

}  // namespace

PageFiller::PageFiller(const FillContext& context, const PageFillOptions& options)
    : context_(context),
      options_(options),
      scratch_(context.scratch),
      held_(context.image.chunk_count()),
      parts_(context.image.chunk_count()) {
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
    serve(page, location, chunk->ciphertext());
    return;
  }
  fault_absent(page, location);
}

// The part of the chunk from the first to the last of its pages near by: where somebody else's
// stand in between, they are read along.
PageRun PageFiller::Window::slots() const {
  const auto [low, high] = std::ranges::minmax(runs(), {}, &SlotRun::slot);
  return {low.slot, uint64_t{high.slot} + high.count - low.slot};
}

PageFiller::Window PageFiller::window_of(uint64_t page, uint32_t chunk) const {
  Window window;
  const PageMap& map = context_.image.map();
  const uint64_t begin = align_down(page, options_.around_pages);
  const uint64_t count = std::min(options_.around_pages, map.page_count() - begin);
  map.for_each_run(begin, count, [&](uint64_t at, const PageLocation& location) {
    if (location.zero || location.chunk != chunk) return;
    window.storage[window.count++] = {static_cast<uint32_t>(at), location.slot,
                                      static_cast<uint32_t>(location.count)};
  });
  return window;
}

void PageFiller::serve(uint64_t page, const PageLocation& location, SealedPages sealed) {
  (*scratch_).cipher.set_key(context_.image.manifest().chunk_key(location.chunk));
  {
    const StageClock clock(context_.memory.decrypt_ns());
    decrypt_pages((*scratch_).cipher, sealed, location.slot, 1, (*scratch_).plain.data());
  }
  // The event thread is the one that closes the install gate, so it need not pass it.
  PlaceResult result = context_.memory.place_faulting(page, (*scratch_).plain.data());
  if (result.placed != Placed::kDone) {
    settle(context_.host, page, result, [this, page] { fault(page); });
  } else if (options_.around_pages > 1) {
    // The guest runs on already; what becomes of the neighbours is not worth a retry.
    result =
        install_slots(context_.memory, sealed, window_of(page, location.chunk).runs(), *scratch_);
    if (result.placed == Placed::kGone) context_.host.vmm_gone();
  }
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
    serve(page, location, chunk->ciphertext());
    return;
  }
  context_.counters.chunks.fetch_add(1, std::memory_order_relaxed);
  const Manifest& manifest = context_.image.manifest();
  if (ChunkRef ref = context_.source.lookup(manifest.clear.chunks[number].id)) {
    context_.counters.hits.fetch_add(1, std::memory_order_relaxed);
    serve(page, location, ref->ciphertext());
    hold(number, std::move(ref));
    return;
  }
  context_.counters.misses.fetch_add(1, std::memory_order_relaxed);
  waiting_[number].push_back(page);
  if (!fetch_part(page, number)) fetch_chunk(number);
}

void PageFiller::fetch_chunk(uint32_t chunk) {
  // Shared because completions are copied.
  const auto pass = std::make_shared<Gate::Pass>(context_.gate.enter());
  if (!*pass) return;
  context_.fetches.begin();
  // The request has a deadline and so reads the clock: only for what is not in memory.
  const ChunkRequest request =
      context_.fetches.request(context_.image.manifest(), chunk, Priority::kFault);
  context_.source.fetch(request, [this, chunk, pass](Result<ChunkRef> result) {
    context_.fetches.end();
    context_.host.retry([this, chunk, pass, result = std::move(result)] { arrive(chunk, result); });
  });
}

bool PageFiller::fetch_part(uint64_t page, uint32_t chunk) {
  if (options_.around_pages == 1 || parts_[chunk] == kPartsMax) return false;
  ++parts_[chunk];
  const auto pass = std::make_shared<Gate::Pass>(context_.gate.enter());
  if (!*pass) return true;  // the session ends
  const ChunkRequest request =
      context_.fetches.request(context_.image.manifest(), chunk, Priority::kFault);
  context_.fetches.begin();
  const bool taken = context_.source.fetch_part(
      request, window_of(page, chunk).slots(), [this, chunk, pass](std::optional<ChunkPart> got) {
        context_.fetches.end();
        // Shared because retries are copied.
        const auto part = std::make_shared<const std::optional<ChunkPart>>(std::move(got));
        context_.host.retry([this, chunk, pass, part] { arrive_part(chunk, *part); });
      });
  if (!taken) context_.fetches.end();
  return taken;
}

void PageFiller::arrive_part(uint32_t chunk, const std::optional<ChunkPart>& part) {
  if (part) {
    serve_waiting(chunk, part->sealed());
  } else {
    fetch_chunk(chunk);
  }
}

void PageFiller::arrive(uint32_t chunk, const Result<ChunkRef>& result) {
  if (!result) {
    context_.host.fail_closed(waiting_.extract(chunk).mapped().front(), result.error());
    return;
  }
  hold(chunk, *result);
  serve_waiting(chunk, (*result)->ciphertext());
}

void PageFiller::serve_waiting(uint32_t chunk, SealedPages sealed) {
  const std::vector<uint64_t> pages = std::move(waiting_.extract(chunk).mapped());
  for (const uint64_t page : pages) {
    const PageLocation location = context_.image.map().locate(page);
    if (context_.memory.is_removed(page) || !sealed.has(location.slot)) {
      fault(page);
    } else {
      serve(page, location, sealed);
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
