// SPDX-License-Identifier: Apache-2.0
//
// PageFiller: installs just the page that the guest asks for or, besides, its neighbours. Chunks
// stay as ciphertext while they are wanted; a fault whose chunk is held costs one page's decryption
// and one install, with no lock, no allocation and no clock. The thrifty way where guests touch
// little of what their chunks hold: so where neighbours come along, and the source can, only they
// are fetched of a chunk, and all of it only when that was not enough.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/resume/filler.h"

namespace thaw {

/// A fault may bring along those of its chunk's pages that are in its aligned window of so many
/// pages: as many as Linux maps around a fault on a file (fault_around_bytes).
inline constexpr uint64_t kFaultAroundPages = 16;

struct PageFillOptions {
  size_t held_chunks_max = 512;                   // first in, first out
  uint64_t zero_window_pages = kZeroWindowPages;  // of place_zero_fault()
  uint64_t around_pages = 1;                      // 1: none; at most kInstallBatchPages
};

/// All state but the offers belongs to the event thread; completions reach it through
/// FillHost::retry().
class PageFiller final : public Filler {
 public:
  PageFiller(const FillContext& context, const PageFillOptions& options);

  void fault(uint64_t page) override;

  /// A chunk that was fetched ahead, held as if a fault had asked for it. Any thread.
  void offer(uint32_t chunk, ChunkRef ref);

 private:
  using Offer = std::pair<uint32_t, ChunkRef>;

  // The pages of one chunk that are near a page of its, itself among them.
  struct Window {
    std::array<SlotRun, kInstallBatchPages> storage;
    size_t count = 0;
    std::span<const SlotRun> runs() const { return std::span(storage).first(count); }
    PageRun slots() const;
  };
  Window window_of(uint64_t page, uint32_t chunk) const;

  void serve(uint64_t page, const PageLocation& location, SealedPages sealed);
  void fault_absent(uint64_t page, const PageLocation& location);
  void fetch_chunk(uint32_t chunk);
  bool fetch_part(uint64_t page, uint32_t chunk);
  void hold(uint32_t chunk, ChunkRef ref);
  void arrive(uint32_t chunk, const Result<ChunkRef>& result);
  void arrive_part(uint32_t chunk, const std::optional<ChunkPart>& part);
  void serve_waiting(uint32_t chunk, SealedPages sealed);

  FillContext context_;
  const PageFillOptions options_;
  ScratchPool::Loan scratch_;
  std::vector<ChunkRef> held_;          // by chunk number
  std::deque<uint32_t> order_;          // of the held ones, oldest first
  Guarded<std::vector<Offer>> offers_;  // looked at when a chunk is missing
  std::unordered_map<uint32_t, std::vector<uint64_t>> waiting_;  // pages by the chunk on its way
  std::vector<uint8_t> parts_;  // by chunk number: how many were asked for
};

}  // namespace thaw
