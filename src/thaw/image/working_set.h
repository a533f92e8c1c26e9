// SPDX-License-Identifier: Apache-2.0
//
// WorkingSet: which pages of a snapshot's memory a guest touched first, and in which order, over
// one or several recorded resumes. Sealed like a manifest and bound to one (image/FORMAT.md).
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/image/manifest.h"

namespace thaw {

/// Consecutive pages that share a rank.
struct WorkingSetRun {
  uint32_t page = 0;
  uint32_t count = 0;
  uint32_t rank = 0;  // order of first touch, 0 first
  uint32_t seen = 0;  // in how many recordings, 1 to WorkingSet::recordings
  friend bool operator==(const WorkingSetRun&, const WorkingSetRun&) = default;
};
static_assert(sizeof(WorkingSetRun) == 16);

struct WorkingSet {
  ManifestId manifest;
  uint32_t recordings = 0;
  std::vector<WorkingSetRun> runs;  // ascending by page, disjoint
};

/// Seals it. Aborts if it breaks an invariant that decode_working_set() enforces.
Result<Bytes> encode_working_set(const WorkingSet& set, const KeyProvider& keys);
/// kInvalid also if it is bound to another manifest than `manifest` or goes past `page_count`
/// pages; kUnsupported and kDenied as for open_envelope().
Result<WorkingSet> decode_working_set(ByteSpan bytes, const ManifestId& manifest,
                                      uint64_t page_count, const KeyProvider& keys);

}  // namespace thaw
