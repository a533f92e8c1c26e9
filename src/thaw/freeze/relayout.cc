// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/relayout.h"

#include <chrono>

#include "thaw/freeze/stored_image.h"
#include "thaw/store/stored_page_digests.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

Result<LayoutPlan> plan_for(const Manifest& manifest, const std::optional<WorkingSet>& recorded,
                            std::string_view name, const RelayoutOptions& options) {
  if (options.layout == Layout::kLinear) return plan_linear(manifest);
  if (!recorded) {
    return fail(ErrorCode::kNotFound, "snapshot '" + std::string(name) +
                                          "' has no working set to lay out; run `thaw record " +
                                          std::string(name) + "` first");
  }
  return plan_hot(manifest, merge_recordings(recorded->recordings, options.share), options.plan);
}

/// The other images stay as they are.
Composition composition_of(const Manifest& manifest, LayoutPlan& plan, const ImageSource& memory) {
  Composition composition;
  composition.root_id = manifest.clear.root_id;
  composition.chunk_bytes = manifest.clear.chunk_bytes;
  composition.layout = plan.layout;
  composition.old = &manifest;
  composition.annotations = manifest.annotations;
  composition.kept_hot = plan.kept_hot;
  composition.hot_pages = plan.hot_pages;
  for (const Image& image : manifest.images) {
    composition.images.push_back(keep_image(image));
    if (image.kind != ImageKind::kMemory) continue;
    composition.images.back().kept = std::move(plan.kept);
    composition.images.back().sealed = {&memory, &plan.recipes};
  }
  return composition;
}

void describe(const Manifest& manifest, const LayoutPlan& plan, RelayoutResult& result) {
  result.hot_chunks = manifest.hot.chunks;
  result.skirt_chunks = manifest.hot.skirt_chunks;
  result.hot_pages = count_pages(plan.hot_pages);
  result.zero_pages = count_pages(manifest.hot.zero_runs);
  result.chunks_total = manifest.clear.chunks.size();
}

}  // namespace

Result<RelayoutResult> relayout(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                const NameTarget& from, const Manifest& manifest,
                                const RelayoutOptions& options, Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  const Image* memory = manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return fail(ErrorCode::kInvalid, "snapshot '" + std::string(name) +
                                         "' has no memory, and a layout is one of memory");
  }
  Result<std::optional<WorkingSet>> opened =
      open_working_set(catalog, keys, from, memory->map.page_count());
  // Damaged, it is lost; a layout that does not need it is still to be had.
  if (!opened && options.layout == Layout::kLinear) opened = std::nullopt;
  if (!opened) return fail(std::move(opened).error());
  std::optional<WorkingSet> recorded = std::move(*opened);
  ASSIGN_OR_RETURN(LayoutPlan plan, plan_for(manifest, recorded, name, options));
  RelayoutResult result;
  result.target = from;
  if (plan.changes_nothing(manifest)) {
    describe(manifest, plan, result);
    return result;
  }
  progress.bytes_total = plan.moved_pages * kPageBytes;
  progress.bytes_done = 0;
  ASSIGN_OR_RETURN(const auto source,
                   StoredImage::open(catalog.store(), manifest, *memory, options.threads));
  const Composition composition = composition_of(manifest, plan, *source);
  ASSIGN_OR_RETURN(const ComposedSnapshot composed,
                   compose_snapshot(catalog.store(), keys, composition, options.threads,
                                    options.on_step, progress));
  if (options.on_step) options.on_step("chunks_done");

  Publication publication;
  publication.name = name;
  publication.replace = true;
  publication.expected = from;
  publication.working_set = std::move(recorded);
  // In order of address, so a layout changes nothing about them; damaged ones are left behind.
  Result<std::optional<PageDigests>> digests =
      open_page_digests(catalog, keys, from, memory->map.data_pages());
  if (digests) publication.digests = std::move(*digests);
  ASSIGN_OR_RETURN(const PublishedSnapshot published,
                   publish_snapshot(catalog, keys, composed.manifest, std::move(publication),
                                    options.on_step, progress));
  result.target = published.target;
  result.changed = true;
  describe(composed.manifest, plan, result);
  result.moved_pages = plan.moved_pages;
  result.chunks_created = composed.sealed.upload.chunks_created;
  result.bytes_written = composed.sealed.upload.bytes_created;
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

}  // namespace thaw
