// SPDX-License-Identifier: Apache-2.0
//
// seal_pack: the compact copy of a snapshot's recorded pages that the techniques reap and faasnap
// load, as chunks in the snapshot's root.
#pragma once

#include <cstdint>
#include <span>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/store/object_store.h"

namespace thaw {

struct PackOptions {
  PackKind kind = PackKind::kReap;
  /// kFaasnap: gaps of at most so many pages are copied along. 32 as published for a local disk.
  uint32_t gap_pages = 0;
  unsigned threads = 0;  // that read, and that seal; 0: by the cores
};

/// Reads the pages of `manifest`'s memory that are in `working_set` (in order of rank) and not
/// zero, every chunk verified, and seals them anew (plan_pack()); the chunks are durable on return.
/// The pack belongs into the snapshot's WorkingSet. kInvalid if the snapshot has no memory;
/// kCorrupt or kNotFound names a chunk that is not intact; kInterrupted.
Result<Pack> seal_pack(ObjectStore& store, const KeyProvider& keys, const Manifest& manifest,
                       std::span<const WorkingPage> working_set, const PackOptions& options,
                       Progress& progress);

}  // namespace thaw
