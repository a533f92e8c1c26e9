// SPDX-License-Identifier: Apache-2.0
//
// What a process's tiers have done, for its last event.
#pragma once

#include "thaw/cli/json_object.h"
#include "thaw/resume/plain_cache.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// {"memory": {...}, "local": {...}, "zone": {...}, "origin": {...}}; a tier that the process runs
/// without is left out.
JsonObject tier_counters(const TierStack& tiers);

/// "chunks: 12 from the disk, ..."
std::string tiers_text(const TierStack& tiers);

/// What a page server keeps as plaintext.
JsonObject plain_counters(const PlainCache& plain);

}  // namespace thaw
