// SPDX-License-Identifier: Apache-2.0
//
// LayoutPlan: from the page map that a snapshot's memory has to the one it shall have, without
// touching a byte: which extents of the old map stay, and which pages are sealed into which new
// chunks. What changes pages (a diff) and what moves them (a layout) are plans of one kind.
//
// Fragmentation. A page that moves or changes leaves a dead slot in its old chunk, which is still
// fetched, kept and cached whole. A chunk of which less than a share of 1/4 stays in use is given
// up and its live pages are sealed anew. So a chunk that is kept costs at most four times its live
// bytes, as much as a scattered working set costs in the linear layout anyway; and since each page
// sealed anew pays for three or more that were sealed by the diffs before it, chains of diffs
// never write more than 4/3 of what they would write with unlimited room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "thaw/image/hot_layout.h"
#include "thaw/image/manifest.h"
#include "thaw/image/page_runs.h"
#include "thaw/image/working_set.h"

namespace thaw {

/// Pages that are to be sealed into one chunk, in order of slot. Those that turn out to be zero are
/// left out.
struct ChunkRecipe {
  PageRuns runs;  // in order of slot; not necessarily of address
  /// Among the hot chunks, which come first in the table, in this order; from kSkirtPlace on among
  /// the skirt chunks, which follow them.
  std::optional<uint32_t> place;
};
inline constexpr uint32_t kSkirtPlace = uint32_t{1} << 30;

/// A chunk of the old manifest that is a hot or skirt chunk of the new.
struct KeptHotChunk {
  uint32_t chunk = 0;  // in the old table
  uint32_t place = 0;
};

struct LayoutPlan {
  Layout layout = Layout::kLinear;
  std::vector<ChunkRecipe> recipes;
  std::vector<Extent> kept;  // of the old map, ascending; chunks numbered as in the old table
  std::vector<KeptHotChunk> kept_hot;
  /// The recorded pages; those that are zero at the end are the hot set's zero runs.
  PageRuns hot_pages;
  /// Pages of the recipes that the old chunks hold, so that their plaintext must be read.
  uint64_t moved_pages = 0;

  /// True if it is a plan to leave everything as `manifest` has it.
  bool changes_nothing(const Manifest& manifest) const;
};

struct LayoutOptions {
  StageSizes stages;
  /// A chunk with less than this share of its pages in use is sealed anew: 0 never.
  double live_share_min = 0.25;
  /// Pages so close to a recorded one make up the skirt: of the pages that six real functions
  /// touched with another input than the recorded one, 56 of 66 are at most 2 pages away.
  uint32_t skirt_pages = 2;
};

/// The recorded pages first (`working_set` in order of rank; pages out of the memory or given twice
/// are left out), the others where they are, or in aligned windows where they would fragment.
/// `manifest` has a memory image.
LayoutPlan plan_hot(const Manifest& manifest, std::span<const WorkingPage> working_set,
                    const LayoutOptions& options = {});

/// Aligned windows throughout. A window whose chunk is what it shall be stays.
LayoutPlan plan_linear(const Manifest& manifest);

/// `changed` pages get new content, `cleared` ones become zero; the two are disjoint. The layout
/// stays: of a hot snapshot the changed recorded pages go into new hot chunks in front of the old
/// ones, whose order stays. The other changed pages are packed in order of address.
LayoutPlan plan_diff(const Manifest& parent, std::span<const PageRun> changed,
                     std::span<const PageRun> cleared, const LayoutOptions& options = {});

/// A memory that has no old map: `data` may be other than zero, and of `working_set`, as above,
/// only the pages of `nonzero` are sealed hot.
LayoutPlan plan_fresh_hot(std::span<const PageRun> data, std::span<const WorkingPage> working_set,
                          std::span<const PageRun> nonzero, uint64_t page_count,
                          uint64_t capacity_pages, const LayoutOptions& options = {});

}  // namespace thaw
