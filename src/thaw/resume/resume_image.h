// SPDX-License-Identifier: Apache-2.0
//
// ResumeImage: a snapshot opened for resuming: its manifest, its memory image, the way from a chunk
// to the pages it fills, and its working set if one was recorded. Immutable but for the plans and
// the scratch that it keeps, and shared by all sessions of the snapshot.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/resume/scratch.h"
#include "thaw/resume/strategy.h"

namespace thaw {

class ResumeImage {
 public:
  /// kInvalid if the snapshot has no memory. `working_set` must be the manifest's own.
  static Result<std::shared_ptr<const ResumeImage>> make(
      Manifest manifest, std::optional<WorkingSet> working_set = std::nullopt);

  const Manifest& manifest() const { return manifest_; }
  const Image& memory() const { return *memory_; }
  const PageMap& map() const { return memory_->map; }
  uint32_t chunk_count() const { return static_cast<uint32_t>(manifest_.clear.chunks.size()); }
  /// Indexes into map().extents().
  std::span<const uint32_t> extents_of(uint32_t chunk) const { return index_.extents_of(chunk); }
  /// Where the memory has the chunk's pages.
  std::vector<SlotRun> slots_of(uint32_t chunk) const;
  /// nullptr if none was recorded.
  const WorkingSet* working_set() const { return working_set_ ? &*working_set_ : nullptr; }

  /// For installing pages of 4 KiB, of kInstallBatchPages: lent to the image's sessions, of which
  /// each would have to make its own.
  ScratchPool& scratch() const { return scratch_; }

  /// The strategy's plan, made when it is first asked for. plan_prefetch() says with which error.
  /// Callable from many threads; the plan lives as long as the image.
  Result<const PrefetchPlan*> plan(Strategy strategy) const;

 private:
  ResumeImage(Manifest manifest, std::optional<WorkingSet> working_set);

  Manifest manifest_;
  std::optional<WorkingSet> working_set_;
  const Image* memory_;
  ChunkIndex index_;
  mutable ScratchPool scratch_{kInstallBatchPages};
  mutable Guarded<std::map<Strategy, PrefetchPlan>> plans_;
};

}  // namespace thaw
