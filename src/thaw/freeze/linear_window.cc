// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/linear_window.h"

#include <algorithm>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/chunk/zero_page.h"

namespace thaw {
namespace {

// What is read at once: small enough that the scan for zeros finds it in the L2 cache, large enough
// that the system call does not count.
constexpr uint64_t kReadPages = 32;

static_assert(kChunkPagesMax <= UINT16_MAX);  // slot and count of an Extent

}  // namespace

std::optional<Window> WindowCursor::next() {
  return position_.with([this](Position& at) -> std::optional<Window> {
    for (; at.image < images_.size(); at = {at.image + 1, 0, 0}) {
      const SealInput& input = images_[at.image];
      if (input.source == nullptr) continue;
      if (std::optional<Window> window = next_of(input, at)) return window;
    }
    return std::nullopt;
  });
}

std::optional<Window> WindowCursor::next_of(const SealInput& input, Position& at) const {
  const uint64_t image_pages = pages_for(input.source->bytes());
  if (input.recipes != nullptr) {
    if (at.run == input.recipes->size()) return std::nullopt;
    const ChunkRecipe& recipe = (*input.recipes)[at.run++];
    return Window{at.image, {0, image_pages}, recipe.runs, recipe.place};
  }
  const std::span<const PageRun> runs = input.source->data_runs();
  while (at.run < runs.size() && runs[at.run].end() <= at.page) ++at.run;
  if (at.run == runs.size()) return std::nullopt;
  const uint64_t begin = align_down(std::max(at.page, runs[at.run].page), window_pages_);
  const uint64_t end = std::min(begin + window_pages_, image_pages);
  at.page = end;
  size_t last = at.run;
  while (last < runs.size() && runs[last].page < end) ++last;
  return Window{at.image, {begin, end - begin}, runs.subspan(at.run, last - at.run), std::nullopt};
}

Result<void> WindowReader::read(const ImageSource& source, const Window& window) {
  pages_ = 0;
  zero_pages_ = 0;
  extents_.clear();
  for (const PageRun& run : window.runs) {
    const uint64_t end = std::min(run.end(), window.pages.end());
    for (uint64_t page = std::max(run.page, window.pages.page); page < end;) {
      const PageRun part{page, std::min(kReadPages, end - page)};
      // Zero pages are squeezed out as the data comes in, so it always lands behind what was kept.
      std::byte* const at = plaintext_.data() + size_t{pages_} * kPageBytes;
      const MutableByteSpan out(at, static_cast<size_t>(part.count) * kPageBytes);
      CHECK(out.data() + out.size() <= plaintext_.data() + plaintext_.size());
      TRY(source.read_pages(part, out));
      for (uint64_t k = 0; k < part.count; ++k) keep_page(page + k, at + k * kPageBytes);
      page = part.end();
    }
  }
  return {};
}

void WindowReader::keep_page(uint64_t page, const std::byte* bytes) {
  if (is_zero({bytes, kPageBytes})) {
    ++zero_pages_;
    return;
  }
  std::byte* const slot = plaintext_.data() + size_t{pages_} * kPageBytes;
  if (slot != bytes) std::memcpy(slot, bytes, kPageBytes);  // whole pages apart: no overlap
  if (!extents_.empty() && extents_.back().end() == page) {
    ++extents_.back().count;
  } else {
    extents_.push_back({static_cast<uint32_t>(page), 0, static_cast<uint16_t>(pages_), 1});
  }
  ++pages_;
}

}  // namespace thaw
