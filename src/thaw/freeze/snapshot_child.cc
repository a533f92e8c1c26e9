// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_child.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "thaw/base/check.h"
#include "thaw/freeze/snapshot_composer.h"
#include "thaw/freeze/stored_image.h"
#include "thaw/image/page_runs.h"
#include "thaw/store/stored_page_digests.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

Result<void> require_kept_root(const Catalog& catalog, const ParentSnapshot& parent) {
  ASSIGN_OR_RETURN(const auto roots, catalog.roots());
  const auto found =
      std::ranges::find(roots, parent.target.root_id, [](const auto& root) { return root.first; });
  const bool kept = found != roots.end() &&
                    (found->second == RootState::kActive || found->second == RootState::kRetired);
  if (kept) return {};
  return fail(ErrorCode::kInvalid, "root " + std::to_string(parent.target.root_id) +
                                       " of the parent '" + std::string(parent.name) +
                                       "' is no longer kept; freeze a full snapshot instead");
}

Result<const Image*> memory_of(const ParentSnapshot& parent, const ChildMemory& memory) {
  const Image* image = parent.manifest.find(ImageKind::kMemory);
  if (image == nullptr) {
    return fail(ErrorCode::kInvalid, "the parent '" + std::string(parent.name) +
                                         "' has no memory; freeze a full snapshot instead");
  }
  if (memory.source->bytes() != image->bytes) {
    return fail(ErrorCode::kInvalid,
                memory.source->describe() + " has " + std::to_string(memory.source->bytes()) +
                    " bytes and the memory of the parent '" + std::string(parent.name) + "' has " +
                    std::to_string(image->bytes) + "; a child has the size of its parent");
  }
  return image;
}

Result<void> require_vmstate(const ParentSnapshot& parent, std::span<const SourceImage> images) {
  const bool given =
      std::ranges::find(images, ImageKind::kVmstate, &SourceImage::kind) != images.end();
  if (given || parent.manifest.find(ImageKind::kVmstate) == nullptr) return {};
  return fail(ErrorCode::kInvalid,
              "the parent '" + std::string(parent.name) +
                  "' has a vmstate, so the child needs its own: devices and CPUs in an older state "
                  "than the memory are a broken VM; give the vmstate that was written with this "
                  "memory");
}

const SourceImage* replacement_of(const Image& image, std::span<const SourceImage> images) {
  for (const SourceImage& given : images) {
    if (given.kind == image.kind && (image.kind != ImageKind::kDisk || given.name == image.name)) {
      return &given;
    }
  }
  return nullptr;
}

ImagePart sealed_part(const SourceImage& image) {
  return {image.kind,
          image.kind == ImageKind::kVmstate ? "vmstate" : image.name,
          image.source->bytes(),
          {image.source.get()},
          {}};
}

/// The parent's images, replaced where a new one is given, and the new ones behind them.
std::vector<ImagePart> images_of(const Manifest& parent, std::span<const SourceImage> images) {
  std::vector<ImagePart> parts;
  for (const Image& image : parent.images) {
    const SourceImage* given = replacement_of(image, images);
    parts.push_back(given == nullptr ? keep_image(image) : sealed_part(*given));
  }
  for (const SourceImage& image : images) {
    if (parent.find(image.kind, image.name) == nullptr) parts.push_back(sealed_part(image));
  }
  return parts;
}

/// A pack is a copy of pages, so it is good for the child if none of them changed.
void drop_stale_packs(WorkingSet& set, std::span<const PageRun> dirty) {
  std::erase_if(set.packs, [&](const Pack& pack) {
    return std::ranges::any_of(pack.extents, [&](const Extent& extent) {
      const PageRun run[] = {{extent.page, extent.count}};
      return !intersect(run, dirty).empty();
    });
  });
}

uint64_t count_kept_chunks(const Manifest& child, const Manifest& parent) {
  std::set<ChunkId> before;
  for (const ChunkEntry& chunk : parent.clear.chunks) before.insert(chunk.id);
  return static_cast<uint64_t>(std::ranges::count_if(
      child.clear.chunks, [&](const ChunkEntry& chunk) { return before.contains(chunk.id); }));
}

/// One freeze of a child, step by step.
class ChildWriter {
 public:
  ChildWriter(Catalog& catalog, const KeyProvider& keys, const ParentSnapshot& parent,
              const FreezeOptions& options, Progress& progress)
      : catalog_(catalog), keys_(keys), parent_(parent), options_(options), progress_(progress) {}

  Result<ChildResult> write(std::string_view name, ChildMemory memory,
                            std::span<const SourceImage> images) {
    const auto started = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const Image* const before, memory_of(parent_, memory));
    TRY(require_vmstate(parent_, images));
    TRY(require_kept_root(catalog_, parent_));
    if (!memory.candidates) {
      const uint64_t pages = before->map.page_count();
      memory.candidates = PageRuns{{0, pages}};
    }
    ASSIGN_OR_RETURN(
        stored_, StoredImage::open(catalog_.store(), parent_.manifest, *before, options_.threads));
    open_digests(before->map);
    begin(memory, images);
    ASSIGN_OR_RETURN(const DirtyPages found, find_dirty(memory, before->map));
    step("opened");

    ASSIGN_OR_RETURN(ComposedSnapshot composed, compose(memory, images, found));
    TRY(memory.source->check_unchanged());
    for (const SourceImage& image : images) TRY(image.source->check_unchanged());
    step("chunks_done");
    const PageRuns dirty =
        count_dirty(found, before->map, composed.manifest.find(ImageKind::kMemory)->map);
    TRY(publish(name, composed, dirty, before->map.page_count()));

    FreezeStats& stats = result_.freeze.stats;
    stats.data_bytes = composed.sealed.data_pages * kPageBytes;
    stats.zero_bytes = composed.sealed.zero_pages * kPageBytes;
    stats.chunks_total = composed.manifest.clear.chunks.size();
    stats.chunks_created = composed.sealed.upload.chunks_created;
    stats.chunks_existed = composed.sealed.upload.chunks_existed;
    stats.chunks_duplicate = composed.sealed.duplicate_chunks;
    stats.bytes_written = composed.sealed.upload.bytes_created;
    stats.store_waits = composed.sealed.buffer_waits;
    stats.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    result_.chunks_kept = count_kept_chunks(composed.manifest, parent_.manifest);
    return std::move(result_);
  }

 private:
  void step(std::string_view reached) const {
    if (options_.on_step) options_.on_step(reached);
  }

  void open_digests(const PageMap& before) {
    Result<std::optional<PageDigests>> opened =
        open_page_digests(catalog_, keys_, parent_.target, before.data_pages());
    if (opened) {
      digests_ = std::move(*opened);
    } else {
      result_.digests_error = opened.error().message;
    }
  }

  /// Candidates are looked at once, if at all; what is found dirty is counted when it is sealed.
  void begin(const ChildMemory& memory, std::span<const SourceImage> images) {
    uint64_t bytes = memory.source->bytes();
    result_.candidate_pages = count_pages(*memory.candidates);
    uint64_t work = memory.trusted ? 0 : result_.candidate_pages * kPageBytes;
    for (const SourceImage& image : images) {
      bytes += image.source->bytes();
      work += count_pages(image.source->data_runs()) * kPageBytes;
    }
    result_.freeze.stats.bytes_total = bytes;
    progress_.bytes_total = work;
    progress_.bytes_done = 0;
  }

  /// What is trusted is not read for it: a page of data that is zero counts as changed here, and is
  /// left out when it is sealed.
  Result<DirtyPages> find_dirty(const ChildMemory& memory, const PageMap& before) {
    if (memory.trusted) {
      result_.by = DirtyBy::kExtents;
      const PageRuns holes = subtract(*memory.candidates, memory.source->data_runs());
      return DirtyPages{intersect(*memory.candidates, memory.source->data_runs()),
                        intersect(holes, data_pages_of(before))};
    }
    ASSIGN_OR_RETURN(const SecretBytes domain_secret, keys_.domain_secret());
    const SecretBytes key = derive_page_digest_key(domain_secret);
    MakeComparer comparer;
    if (digests_) {
      result_.by = DirtyBy::kDigests;
      comparer = compare_digests(*digests_, before, key);
    } else {
      result_.by = DirtyBy::kComparison;
      comparer = compare_pages(*stored_);
    }
    return find_dirty_pages(*memory.source, *memory.candidates, before, comparer, options_.threads,
                            progress_);
  }

  /// Once each page was read: those that differ from the parent's.
  PageRuns count_dirty(const DirtyPages& found, const PageMap& before, const PageMap& now) {
    const PageRuns looked_at = unite(found.changed, found.cleared);
    const PageRuns data = data_pages_of(now);
    const PageRuns changed = intersect(looked_at, data);
    const PageRuns cleared = subtract(intersect(looked_at, data_pages_of(before)), data);
    result_.changed_pages = count_pages(changed);
    result_.cleared_pages = count_pages(cleared);
    return unite(changed, cleared);
  }

  Result<ComposedSnapshot> compose(const ChildMemory& memory, std::span<const SourceImage> images,
                                   const DirtyPages& dirty) {
    LayoutPlan plan = plan_diff(parent_.manifest, dirty.changed, dirty.cleared);
    result_.moved_pages = plan.moved_pages;
    progress_.bytes_total += (count_pages(dirty.changed) + plan.moved_pages) * kPageBytes;
    const OverlayImage source(*stored_, *memory.source, dirty.changed);
    Composition composition;
    composition.root_id = parent_.target.root_id;
    composition.chunk_bytes = parent_.manifest.clear.chunk_bytes;
    composition.layout = plan.layout;
    composition.old = &parent_.manifest;
    composition.images = images_of(parent_.manifest, images);
    if (composition.images.size() > kImagesMax) {
      return fail(ErrorCode::kInvalid, "with the parent's disks the child has " +
                                           std::to_string(composition.images.size()) +
                                           " images; a snapshot has at most " +
                                           std::to_string(kImagesMax));
    }
    composition.kept_hot = plan.kept_hot;
    composition.hot_pages = plan.hot_pages;
    composition.page_digests = digests_.has_value();
    composition.old_digests = digests_ ? &*digests_ : nullptr;
    composition.annotations = new_annotations(options_);
    const auto part = std::ranges::find(composition.images, ImageKind::kMemory, &ImagePart::kind);
    part->kept = std::move(plan.kept);
    part->sealed = {&source, &plan.recipes};
    return compose_snapshot(catalog_.store(), keys_, composition, options_.threads,
                            options_.on_step, progress_);
  }

  Result<void> publish(std::string_view name, ComposedSnapshot& composed,
                       std::span<const PageRun> dirty, uint64_t page_count) {
    Publication publication;
    publication.name = name;
    publication.replace = options_.replace;
    publication.digests = std::move(composed.digests);
    result_.has_digests = publication.digests.has_value();
    Result<std::optional<WorkingSet>> recorded =
        open_working_set(catalog_, keys_, parent_.target, page_count);
    // It only makes resumes faster: a damaged one is not worth the snapshot.
    if (recorded && *recorded) {
      publication.working_set = std::move(*recorded);
      drop_stale_packs(*publication.working_set, dirty);
      result_.has_working_set = true;
    }
    ASSIGN_OR_RETURN(const PublishedSnapshot published,
                     publish_snapshot(catalog_, keys_, composed.manifest, std::move(publication),
                                      options_.on_step, progress_));
    result_.freeze.target = published.target;
    result_.freeze.stats.manifest_bytes = published.manifest_bytes;
    return {};
  }

  Catalog& catalog_;
  const KeyProvider& keys_;
  const ParentSnapshot& parent_;
  const FreezeOptions& options_;
  Progress& progress_;
  std::unique_ptr<StoredImage> stored_;
  std::optional<PageDigests> digests_;  // of the parent
  ChildResult result_;
};

}  // namespace

const char* to_string(DirtyBy by) {
  switch (by) {
    case DirtyBy::kExtents:
      return "extents";
    case DirtyBy::kDigests:
      return "digests";
    case DirtyBy::kComparison:
      return "comparison";
  }
  return "unknown";
}

Result<ChildResult> freeze_child(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                 const ParentSnapshot& parent, ChildMemory memory,
                                 std::span<const SourceImage> images, const FreezeOptions& options,
                                 Progress& progress) {
  CHECK(memory.source != nullptr);
  TRY(options.validate());
  TRY(validate_name("snapshot name", name));
  if (!images.empty()) TRY(validate_images(images));
  if (std::ranges::find(images, ImageKind::kMemory, &SourceImage::kind) != images.end()) {
    return fail(ErrorCode::kInvalid, "a child's memory is given once: as a diff or in full");
  }
  if (!options.replace) TRY(require_free(catalog, keys.tenant(), name));
  return ChildWriter(catalog, keys, parent, options, progress)
      .write(name, std::move(memory), images);
}

}  // namespace thaw
