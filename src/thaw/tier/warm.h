// SPDX-License-Identifier: Apache-2.0
//
// warm: reads a snapshot's chunks through a stack, so that its caches have them before anybody
// asks.
#pragma once

#include <cstdint>
#include <span>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/tier/stack.h"

namespace thaw {

struct WarmReport {
  uint64_t chunks = 0;
  uint64_t bytes = 0;
  uint64_t from_local = 0;  // chunks that were there already
  uint64_t from_zone = 0;
  uint64_t from_origin = 0;
  uint64_t not_kept = 0;  // fills that a queue refused or a cache could not take
};

/// Fetches each of the chunks once, as prefetches, no faster than the tiers can keep them, and
/// returns when they have. Progress counts bytes. The first chunk that no tier has ends it with its
/// error; kInterrupted if it was cancelled. Nothing else may use the stack meanwhile.
Result<WarmReport> warm(TierStack& tiers, std::span<const ChunkRequest> chunks, Progress& progress);

}  // namespace thaw
