// SPDX-License-Identifier: Apache-2.0
//
// PageFiller: installs just the page that the guest asks for or, besides, its neighbours. Chunks
// stay as ciphertext while they are wanted; a fault whose chunk is held costs one page's decryption
// and one install, with no lock, no allocation and no clock. The thrifty way where guests touch
// little of what their chunks hold.
#pragma once

#include <deque>
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

  void serve(uint64_t page, const PageLocation& location, const Chunk& chunk);
  void serve_neighbours(uint64_t page, uint32_t chunk, ByteSpan ciphertext);
  void fault_absent(uint64_t page, const PageLocation& location);
  void hold(uint32_t chunk, ChunkRef ref);
  void arrive(uint32_t chunk, const Result<ChunkRef>& result);

  FillContext context_;
  const PageFillOptions options_;
  ScratchPool::Loan scratch_;
  std::vector<ChunkRef> held_;          // by chunk number
  std::deque<uint32_t> order_;          // of the held ones, oldest first
  Guarded<std::vector<Offer>> offers_;  // looked at when a chunk is missing
  std::unordered_map<uint32_t, std::vector<uint64_t>> waiting_;  // pages by the chunk on its way
};

}  // namespace thaw
