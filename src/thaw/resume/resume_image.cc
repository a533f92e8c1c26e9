// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/resume_image.h"

namespace thaw {

ResumeImage::ResumeImage(Manifest manifest, std::optional<WorkingSet> working_set)
    : manifest_(std::move(manifest)),
      working_set_(std::move(working_set)),
      memory_(manifest_.find(ImageKind::kMemory)) {
  if (memory_ != nullptr) index_ = ChunkIndex(memory_->map, manifest_.clear.chunks.size());
}

Result<std::shared_ptr<const ResumeImage>> ResumeImage::make(
    Manifest manifest, std::optional<WorkingSet> working_set) {
  // Shared: the sessions of a snapshot and whoever starts them hold it, the last of them frees it.
  const std::shared_ptr<const ResumeImage> image(
      new ResumeImage(std::move(manifest), std::move(working_set)));
  if (image->memory_ == nullptr) {
    return fail(ErrorCode::kInvalid,
                "the snapshot has no memory image, so no VM can resume from it; freeze it with "
                "--memory");
  }
  if (image->memory_->bytes == 0) return fail(ErrorCode::kInvalid, "the memory image is empty");
  return image;
}

std::vector<SlotRun> ResumeImage::slots_of(uint32_t chunk) const {
  std::vector<SlotRun> runs;
  runs.reserve(extents_of(chunk).size());
  for (const uint32_t index : extents_of(chunk)) {
    const Extent& extent = map().extents()[index];
    runs.push_back({extent.page, extent.slot, extent.count});
  }
  return runs;
}

Result<const PrefetchPlan*> ResumeImage::plan(Strategy strategy) const {
  return plans_.with([&](auto& plans) -> Result<const PrefetchPlan*> {
    auto found = plans.find(strategy);
    if (found == plans.end()) {
      ASSIGN_OR_RETURN(PrefetchPlan plan, plan_prefetch(strategy, *this));
      found = plans.emplace(strategy, std::move(plan)).first;
    }
    return &found->second;
  });
}

}  // namespace thaw
