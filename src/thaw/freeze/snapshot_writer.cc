// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_writer.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "thaw/base/utc_text.h"
#include "thaw/freeze/dirty_pages.h"
#include "thaw/freeze/image_file.h"
#include "thaw/freeze/snapshot_composer.h"

namespace thaw {
namespace {

constexpr std::string_view kTool = "thaw 0.1.0";
constexpr size_t kAnnotationKeyBytesMax = 255;
constexpr size_t kAnnotationValueBytesMax = 64 * kKiB;
constexpr size_t kOwnAnnotations = 2;

Composition whole_images(std::span<const SourceImage> images, const FreezeOptions& options,
                         uint64_t root_id) {
  Composition composition;
  composition.root_id = root_id;
  composition.chunk_bytes = options.chunk_bytes;
  composition.annotations = new_annotations(options);
  for (const SourceImage& image : images) {
    const std::string name = image.kind == ImageKind::kDisk     ? image.name
                             : image.kind == ImageKind::kMemory ? "memory"
                                                                : "vmstate";
    composition.images.push_back(
        {image.kind, name, image.source->bytes(), {image.source.get()}, {}});
  }
  return composition;
}

/// The sizes, and `progress` set to begin: holes are done from the start.
FreezeStats begin(std::span<const SourceImage> images, Progress& progress) {
  FreezeStats stats;
  uint64_t pages = 0;
  uint64_t data_pages = 0;
  for (const SourceImage& image : images) {
    stats.bytes_total += image.source->bytes();
    pages += pages_for(image.source->bytes());
    for (const PageRun& run : image.source->data_runs()) data_pages += run.count;
  }
  stats.hole_bytes = (pages - data_pages) * kPageBytes;
  progress.bytes_total = pages * kPageBytes;
  progress.bytes_done = stats.hole_bytes;
  return stats;
}

Result<void> require_unchanged(std::span<const SourceImage> images) {
  for (const SourceImage& image : images) TRY(image.source->check_unchanged());
  return {};
}

}  // namespace

Result<void> validate_images(std::span<const SourceImage> images) {
  if (images.empty()) return fail(ErrorCode::kInvalid, "a snapshot needs at least one image");
  if (images.size() > kImagesMax) {
    return fail(ErrorCode::kInvalid, "a snapshot has at most " + std::to_string(kImagesMax) +
                                         " images; " + std::to_string(images.size()) +
                                         " were given");
  }
  std::set<std::pair<ImageKind, std::string_view>> seen;
  for (const SourceImage& image : images) {
    const bool is_disk = image.kind == ImageKind::kDisk;
    if (is_disk) TRY(validate_disk_name(image.name));
    if (!seen.emplace(image.kind, is_disk ? image.name : std::string_view()).second) {
      return fail(ErrorCode::kInvalid, is_disk ? "two disks are called " + image.name
                                               : "memory or vmstate is given twice");
    }
  }
  return {};
}

Result<void> require_free(const Catalog& catalog, std::string_view tenant, std::string_view name) {
  const Result<NameTarget> taken = catalog.resolve(tenant, name);
  if (taken) {
    return fail(ErrorCode::kExists, "the tenant has a snapshot '" + std::string(name) +
                                        "' already; choose another name or replace it");
  }
  if (taken.error().code != ErrorCode::kNotFound) return fail(taken.error());
  return {};
}

std::vector<std::pair<std::string, std::string>> new_annotations(const FreezeOptions& options) {
  std::vector<std::pair<std::string, std::string>> annotations{
      {"created", utc_text(std::chrono::system_clock::now())}, {"tool", std::string(kTool)}};
  annotations.insert(annotations.end(), options.annotations.begin(), options.annotations.end());
  return annotations;
}

Result<void> FreezeOptions::validate() const {
  TRY(validate_chunk_bytes(chunk_bytes));
  if (annotations.size() > kAnnotationsMax - kOwnAnnotations) {
    return fail(ErrorCode::kInvalid, "a snapshot has at most " +
                                         std::to_string(kAnnotationsMax - kOwnAnnotations) +
                                         " annotations");
  }
  std::set<std::string_view> seen{"created", "tool"};
  for (const auto& [key, value] : annotations) {
    if (key.empty() || key.size() > kAnnotationKeyBytesMax || !is_utf8(key)) {
      return fail(ErrorCode::kInvalid, "the key of an annotation is 1 to 255 bytes of UTF-8");
    }
    if (!seen.insert(key).second) {
      return fail(ErrorCode::kInvalid,
                  "annotation '" + key + "' is given twice or is one that thaw writes");
    }
    if (value.size() > kAnnotationValueBytesMax || !is_utf8(value)) {
      return fail(ErrorCode::kInvalid,
                  "the value of annotation '" + key + "' is not UTF-8 of at most 64 KiB");
    }
  }
  return {};
}

Result<std::vector<SourceImage>> open_sources(const SourcePaths& paths) {
  std::vector<SourceImage> images;
  const auto add = [&images](ImageKind kind, const std::string& name,
                             const std::string& path) -> Result<void> {
    ASSIGN_OR_RETURN(std::unique_ptr<ImageFile> file, ImageFile::open(path, kind));
    images.push_back({kind, name, std::move(file)});
    return {};
  };
  if (!paths.memory.empty()) TRY(add(ImageKind::kMemory, "", paths.memory));
  if (!paths.vmstate.empty()) TRY(add(ImageKind::kVmstate, "", paths.vmstate));
  for (const auto& [name, path] : paths.disks) TRY(add(ImageKind::kDisk, name, path));
  TRY(validate_images(images));
  return images;
}

namespace {

/// Plans the memory of `composition` hot. The plan's recipes are borrowed by the composition.
Result<LayoutPlan> plan_recorded(std::span<const SourceImage> images, const RecordedLayout& layout,
                                 const FreezeOptions& options, Composition& composition) {
  const auto memory = std::ranges::find(images, ImageKind::kMemory, &SourceImage::kind);
  if (memory == images.end()) {
    return fail(ErrorCode::kInvalid, "a working set lays out memory, and none was given");
  }
  const ImageSource& source = *memory->source;
  if (source.bytes() != layout.memory_bytes) {
    return fail(ErrorCode::kInvalid,
                "the working set is of a memory of " + std::to_string(layout.memory_bytes) +
                    " bytes and " + source.describe() + " has " + std::to_string(source.bytes()) +
                    "; use a recording of the same VM size");
  }
  const std::vector<WorkingPage> pages = merge_recordings(layout.recorded.recordings, layout.share);
  // Which of them are zero decides what stands where, so it has to be known ahead of sealing.
  std::vector<uint32_t> numbers;
  for (const WorkingPage& page : pages) numbers.push_back(page.page);
  const uint64_t page_count = pages_for(source.bytes());
  ASSIGN_OR_RETURN(const PageMap nothing, PageMap::make(page_count, {}, {}));
  Progress scan;
  ASSIGN_OR_RETURN(const DirtyPages dirty, find_dirty_pages(source, runs_of(std::move(numbers)),
                                                            nothing, {}, options.threads, scan));
  LayoutPlan plan = plan_fresh_hot(source.data_runs(), pages, dirty.changed, page_count,
                                   options.chunk_bytes / kPageBytes);
  composition.layout = plan.layout;
  composition.hot_pages = plan.hot_pages;
  return plan;
}

Result<FreezeResult> freeze_images(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                   std::span<const SourceImage> images,
                                   std::optional<RecordedLayout> layout,
                                   const FreezeOptions& options, Progress& progress) {
  const auto started = std::chrono::steady_clock::now();
  const auto step = [&options](std::string_view reached) {
    if (options.on_step) options.on_step(reached);
  };
  TRY(options.validate());
  TRY(validate_name("snapshot name", name));
  TRY(validate_images(images));
  if (!options.replace) TRY(require_free(catalog, keys.tenant(), name));
  FreezeResult result;
  ASSIGN_OR_RETURN(result.target.root_id, catalog.active_root());
  result.stats = begin(images, progress);
  step("opened");

  Composition composition = whole_images(images, options, result.target.root_id);
  composition.page_digests = options.page_digests;
  LayoutPlan plan;
  if (layout) {
    ASSIGN_OR_RETURN(plan, plan_recorded(images, *layout, options, composition));
    const auto memory = std::ranges::find(composition.images, ImageKind::kMemory, &ImagePart::kind);
    memory->sealed.recipes = &plan.recipes;
  }
  ASSIGN_OR_RETURN(ComposedSnapshot composed,
                   compose_snapshot(catalog.store(), keys, composition, options.threads,
                                    options.on_step, progress));
  TRY(require_unchanged(images));
  step("chunks_done");

  Publication publication;
  publication.name = name;
  publication.replace = options.replace;
  publication.digests = std::move(composed.digests);
  if (layout) {
    publication.working_set = std::move(layout->recorded);
    publication.working_set->packs.clear();  // copies of the other snapshot's pages
  }
  ASSIGN_OR_RETURN(const PublishedSnapshot published,
                   publish_snapshot(catalog, keys, composed.manifest, std::move(publication),
                                    options.on_step, progress));
  result.target = published.target;

  const SealStats& sealed = composed.sealed;
  FreezeStats& stats = result.stats;
  stats.data_bytes = sealed.data_pages * kPageBytes;
  stats.zero_bytes = sealed.zero_pages * kPageBytes;
  stats.chunks_total = composed.manifest.clear.chunks.size();
  stats.chunks_created = sealed.upload.chunks_created;
  stats.chunks_existed = sealed.upload.chunks_existed;
  stats.chunks_duplicate = sealed.duplicate_chunks;
  stats.bytes_written = sealed.upload.bytes_created;
  stats.manifest_bytes = published.manifest_bytes;
  stats.store_waits = sealed.buffer_waits;
  stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

}  // namespace

Result<FreezeResult> freeze(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                            std::span<const SourceImage> images, const FreezeOptions& options,
                            Progress& progress) {
  return freeze_images(catalog, keys, name, images, std::nullopt, options, progress);
}

Result<FreezeResult> freeze_hot(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                std::span<const SourceImage> images, RecordedLayout layout,
                                const FreezeOptions& options, Progress& progress) {
  return freeze_images(catalog, keys, name, images, std::move(layout), options, progress);
}

}  // namespace thaw
