// SPDX-License-Identifier: Apache-2.0
//
// Windows: the pages that become one chunk. By the linear layout an image is cut into aligned
// windows of one chunk's capacity, and a chunk holds the non-zero pages of one window in order of
// address; other layouts name the pages of each chunk in recipes. WindowCursor deals out both,
// WindowReader turns one into the plaintext of its chunk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/crypto/page_digest.h"
#include "thaw/crypto/secret.h"
#include "thaw/freeze/image_source.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/page_map.h"

namespace thaw {

/// At most a chunk's capacity of pages that may be other than zero.
struct Window {
  size_t image = 0;
  PageRun pages;                  // bounds of what is meant, clipped to the end of the image
  std::span<const PageRun> runs;  // what is inside the bounds is meant, in order of slot
  std::optional<uint32_t> place;  // of a hot chunk (ChunkRecipe)
};

/// What to seal of one image. Borrows both; the source may be missing if there is nothing.
struct SealInput {
  const ImageSource* source = nullptr;
  /// nullptr: aligned windows over all of its data.
  const std::vector<ChunkRecipe>* recipes = nullptr;
  /// By page of the image: where the digests of the sealed pages go; nullptr: not wanted.
  std::vector<PageDigest>* digests = nullptr;
};

/// Deals out the windows of several images in order, each once. Callable from many threads. Borrows
/// the inputs' parts.
class WindowCursor {
 public:
  WindowCursor(std::vector<SealInput> images, uint64_t window_pages)
      : images_(std::move(images)), window_pages_(window_pages) {}

  /// nullopt when all are dealt out. Windows of holes are stepped over for nothing.
  std::optional<Window> next();

 private:
  struct Position {
    size_t image = 0;
    size_t run = 0;  // or recipe
    uint64_t page = 0;
  };
  std::optional<Window> next_of(const SealInput& input, Position& at) const;

  const std::vector<SealInput> images_;
  const uint64_t window_pages_;
  Guarded<Position> position_;
};

/// Reads windows into its buffer. One thread at a time. The buffer is secret: it is wiped with the
/// reader and kept out of core dumps.
class WindowReader {
 public:
  explicit WindowReader(uint64_t window_pages)
      : plaintext_(static_cast<size_t>(window_pages * kPageBytes)) {}

  /// Reads the window's pages in order of slot and drops the zero ones, in place. Errors of
  /// ImageSource::read_pages().
  Result<void> read(const ImageSource& source, const Window& window);

  /// Of the last read: the non-zero pages, and where they belong: one extent for each run of
  /// consecutive ones, its chunk 0.
  ByteSpan plaintext() const { return plaintext_.span().first(size_t{pages_} * kPageBytes); }
  uint32_t pages() const { return pages_; }
  std::span<const Extent> extents() const { return extents_; }
  /// Of the last read: the pages that were read and turned out to be zero.
  uint64_t zero_pages() const { return zero_pages_; }

 private:
  void keep_page(uint64_t page, const std::byte* bytes);

  SecretBytes plaintext_;
  uint32_t pages_ = 0;
  uint64_t zero_pages_ = 0;
  std::vector<Extent> extents_;
};

}  // namespace thaw
