// SPDX-License-Identifier: Apache-2.0
//
// freeze_child: a snapshot made from an earlier one and what changed since. The child is complete
// in itself: its page map refers to chunks, some of them the parent's, and never to the parent, so
// chains are flat by construction, resolving a page never walks them, and the parent's name may go.
// Layout and working set are handed down.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/freeze/dirty_pages.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/manifest.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// The parent, opened. Borrowed.
struct ParentSnapshot {
  std::string_view name;
  NameTarget target;
  const Manifest& manifest;
};

/// How the dirty pages of the memory were told from the others.
enum class DirtyBy {
  kExtents,     // the source said: data is dirty
  kDigests,     // digests of the parent's pages; nothing of the parent was read
  kComparison,  // the parent's pages were read, verified, decrypted and compared
};
const char* to_string(DirtyBy by);

/// The new state of the memory.
struct ChildMemory {
  const ImageSource* source = nullptr;
  /// Pages that may have changed; nullopt: any of them.
  std::optional<PageRuns> candidates;
  /// Every candidate counts as changed (a diff); else they are compared with the parent's pages.
  bool trusted = false;
};

struct ChildResult {
  FreezeResult freeze;  // its data_bytes and zero_bytes count what was sealed and dropped
  DirtyBy by = DirtyBy::kExtents;
  uint64_t candidate_pages = 0;
  uint64_t changed_pages = 0;  // new content
  uint64_t cleared_pages = 0;  // zero now
  uint64_t moved_pages = 0;    // unchanged, but sealed anew because their chunk was hardly used
  uint64_t chunks_kept = 0;    // of the parent's
  bool has_working_set = false;
  bool has_digests = false;
  std::string digests_error;  // why the parent's could not be used, if they are damaged
};

/// Freezes a child of `parent` as snapshot `name`. `images` are its vmstate and disks (no memory):
/// a disk that is not given is the parent's, a vmstate has to be given if the parent has one, for
/// it belongs to the memory of the same moment. The chunk size is the parent's; options.chunk_bytes
/// is not looked at. kInvalid if the parent has no memory or one of another size, or its root is no
/// longer kept; kCorrupt or kNotFound naming the parent's chunk that had to be read and is not
/// intact; else as freeze().
Result<ChildResult> freeze_child(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                 const ParentSnapshot& parent, ChildMemory memory,
                                 std::span<const SourceImage> images, const FreezeOptions& options,
                                 Progress& progress);

}  // namespace thaw
