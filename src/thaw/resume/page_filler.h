// SPDX-License-Identifier: Apache-2.0
//
// PageFiller: installs just the page that the guest asks for. Chunks stay as ciphertext while they
// are wanted; a fault whose chunk is held costs one page's decryption and one install, with no
// lock, no allocation and no clock. The thrifty way where guests touch little of what their chunks
// hold.
#pragma once

#include <deque>
#include <unordered_map>
#include <vector>

#include "thaw/resume/filler.h"

namespace thaw {

/// All state belongs to the event thread; completions reach it through FillHost::retry().
class PageFiller final : public Filler {
 public:
  /// Holds at most `chunks_max` chunks, first in first out. `zero_window_pages` as of
  /// place_zero_fault().
  PageFiller(const FillContext& context, size_t chunks_max, uint64_t zero_window_pages);

  void fault(uint64_t page) override;
  const FillCounters& counters() const override { return counters_; }

 private:
  void serve(uint64_t page, const PageLocation& location, const Chunk& chunk);
  void fault_absent(uint64_t page, const PageLocation& location);
  void hold(uint32_t chunk, ChunkRef ref);
  void arrive(uint32_t chunk, const Result<ChunkRef>& result);

  FillContext context_;
  const size_t chunks_max_;
  const uint64_t zero_window_pages_;
  Scratch scratch_;
  std::vector<ChunkRef> held_;                                   // by chunk number
  std::deque<uint32_t> order_;                                   // of the held ones, oldest first
  std::unordered_map<uint32_t, std::vector<uint64_t>> waiting_;  // pages by the chunk on its way
  FillCounters counters_;
};

}  // namespace thaw
