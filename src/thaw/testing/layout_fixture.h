// SPDX-License-Identifier: Apache-2.0
//
// What tests of layouts and diffs share, on top of FreezeFixture: recordings that are made up, and
// images read back for comparison with an oracle.
#pragma once

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/freeze/diff_file.h"
#include "thaw/freeze/relayout.h"
#include "thaw/freeze/snapshot_child.h"
#include "thaw/freeze/snapshot_export.h"
#include "thaw/image/working_set.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {

/// First touches of these pages, a microsecond apart.
inline Recording recording_of(const std::vector<uint32_t>& pages) {
  Recording recording;
  for (const uint32_t page : pages) {
    recording.touches.push_back({page, static_cast<uint32_t>(recording.touches.size()), false});
  }
  return recording;
}

/// Runs of holes, of written zeros and of data, as guests have them; data pages all differ from
/// their neighbours.
inline std::vector<PageTag> random_tags(std::mt19937_64& random, size_t pages) {
  std::vector<PageTag> tags;
  while (tags.size() < pages) {
    const auto kind = random() % 4;
    const size_t run = std::min<size_t>(pages - tags.size(), 1 + random() % 12);
    for (size_t i = 0; i < run; ++i) {
      tags.push_back(kind == 0   ? kHolePage
                     : kind == 1 ? kZeroPage
                                 : static_cast<PageTag>(2 + random() % 250));
    }
  }
  return tags;
}

struct LayoutFixture : FreezeFixture {
  using FreezeFixture::FreezeFixture;

  NameTarget target(std::string_view name) const {
    const Result<NameTarget> found = catalog.resolve(keys.tenant(), name);
    CHECK(found.has_value());
    return *found;
  }

  Result<RelayoutResult> relayout(std::string_view name, const RelayoutOptions& options) {
    const Manifest manifest = load(name);
    Progress progress;
    return thaw::relayout(catalog, keys, name, target(name), manifest, options, progress);
  }

  /// A working set of `pages` in this order, recorded once.
  void record(std::string_view name, const std::vector<uint32_t>& pages) {
    WorkingSet set;
    set.manifest = target(name).manifest;
    set.recordings.push_back(recording_of(pages));
    CHECK(put_working_set(catalog, keys, target(name), set));
  }

  /// A child of `parent` from a diff file.
  Result<ChildResult> freeze_diff(std::string_view name, std::string_view parent,
                                  const std::string& diff, const SourcePaths& others = {},
                                  const FreezeOptions& options = {}) {
    const Manifest manifest = load(parent);
    const Image* memory = manifest.find(ImageKind::kMemory);
    CHECK(memory != nullptr);
    ASSIGN_OR_RETURN(const auto source, open_diff(diff, memory->bytes));
    const std::span<const PageRun> dirty = source->data_runs();
    return freeze_child_of(name, parent, manifest,
                           {source.get(), PageRuns(dirty.begin(), dirty.end()), true}, others,
                           options);
  }

  /// A child of `parent` from a full memory.
  Result<ChildResult> freeze_full(std::string_view name, std::string_view parent,
                                  const std::string& full, const SourcePaths& others = {},
                                  const FreezeOptions& options = {}) {
    const Manifest manifest = load(parent);
    ASSIGN_OR_RETURN(const auto source, ImageFile::open(full, ImageKind::kMemory));
    return freeze_child_of(name, parent, manifest, {source.get(), std::nullopt, false}, others,
                           options);
  }

  Result<ChildResult> freeze_child_of(std::string_view name, std::string_view parent,
                                      const Manifest& manifest, ChildMemory memory,
                                      const SourcePaths& others, const FreezeOptions& options) {
    std::vector<SourceImage> images;
    if (!others.vmstate.empty() || !others.disks.empty()) {
      ASSIGN_OR_RETURN(images, open_sources(others));
    }
    Progress progress;
    return freeze_child(catalog, keys, name, {parent, target(parent), manifest}, std::move(memory),
                        images, options, progress);
  }

  /// The whole image, exported; every chunk of it is verified on the way.
  Bytes bytes_of(const Manifest& manifest, ImageKind kind, std::string_view disk = {}) const {
    const TempDir directory("/dev/shm");
    const Image* image = manifest.find(kind, disk);
    CHECK(image != nullptr);
    Progress progress;
    CHECK(export_image(store, manifest, *image, directory.file("out"), {}, progress));
    return whole_file(directory.file("out"));
  }
};

}  // namespace thaw
