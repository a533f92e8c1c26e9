// SPDX-License-Identifier: Apache-2.0
//
// ResumeImage: a snapshot opened for resuming: its manifest, its memory image, and the way from a
// chunk to the pages it fills. Immutable and shared by all sessions of the snapshot.
#pragma once

#include <memory>

#include "thaw/base/result.h"
#include "thaw/image/manifest.h"

namespace thaw {

class ResumeImage {
 public:
  /// kInvalid if the snapshot has no memory.
  static Result<std::shared_ptr<const ResumeImage>> make(Manifest manifest);

  const Manifest& manifest() const { return manifest_; }
  const Image& memory() const { return *memory_; }
  const PageMap& map() const { return memory_->map; }
  uint32_t chunk_count() const { return static_cast<uint32_t>(manifest_.clear.chunks.size()); }
  /// Indexes into map().extents().
  std::span<const uint32_t> extents_of(uint32_t chunk) const { return index_.extents_of(chunk); }

 private:
  explicit ResumeImage(Manifest manifest);

  Manifest manifest_;
  const Image* memory_;
  ChunkIndex index_;
};

}  // namespace thaw
