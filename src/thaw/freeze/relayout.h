// SPDX-License-Identifier: Apache-2.0
//
// relayout: the same snapshot with its memory's pages in other chunks. A new manifest is made, of
// which only the chunks that no old one equals are written; the old manifest stays in the store as
// it is, and the name moves to the new one at the very end. What stops it on the way leaves
// garbage and nothing else.
#pragma once

#include <cstdint>
#include <string_view>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/freeze/snapshot_composer.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/store/catalog.h"

namespace thaw {

struct RelayoutOptions {
  Layout layout = Layout::kHot;
  /// Of the recordings that must have a page for it to be laid out hot (merge_recordings()).
  double share = kStableShareDefault;
  LayoutOptions plan;
  unsigned threads = 0;  // that read, and that seal; 0: by the cores
  /// As in FreezeOptions: "group_put", "chunks_done", "manifest_put", "working_set_put",
  /// "name_bound".
  StepHook on_step;
};

struct RelayoutResult {
  NameTarget target;         // where the name points now
  bool changed = false;      // false: it had this layout already, nothing was written
  uint64_t moved_pages = 0;  // read from the old chunks and sealed anew
  uint64_t hot_chunks = 0;
  uint64_t skirt_chunks = 0;  // HotSet
  uint64_t hot_pages = 0;     // recorded, zero ones included
  uint64_t zero_pages = 0;    // of them
  uint64_t chunks_total = 0;
  uint64_t chunks_created = 0;
  uint64_t bytes_written = 0;
  double seconds = 0;
};

/// Lays out the snapshot `name` of the tenant of `keys`, which points at `from`, whose manifest is
/// `manifest`. kInvalid if it has no memory; kNotFound if it shall be hot and has no working set;
/// kCorrupt or kNotFound naming the chunk that has to be read and is not intact; kExists if the
/// name was moved meanwhile; kInterrupted. On an error the name is what it was. The working set
/// goes along, its packs included: what they copy is still the same.
Result<RelayoutResult> relayout(Catalog& catalog, const KeyProvider& keys, std::string_view name,
                                const NameTarget& from, const Manifest& manifest,
                                const RelayoutOptions& options, Progress& progress);

}  // namespace thaw
