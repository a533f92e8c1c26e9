// SPDX-License-Identifier: Apache-2.0
//
// sweep_chunks: fetches chunks of a manifest straight from a store, verifies each and hands it to a
// visitor, on all cores, each chunk once. Export and verification are visitors. It goes around the
// tiers on purpose: a chunk that is read once is not worth a place in a cache, and verification is
// about the store.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/image/manifest.h"
#include "thaw/store/object_store.h"

namespace thaw {

/// What the buffers of all threads may take.
inline constexpr uint64_t kSweepBytesMax = 128 * kMiB;
/// Failures that are kept when the sweep goes on after one; the others are counted.
inline constexpr size_t kSweepFailuresMax = 1000;

struct SweepOptions {
  unsigned threads = 0;       // 0: one for each core
  uint32_t buffers_each = 1;  // chunk-sized ones that a thread needs, the visitor's own included
  bool keep_going = false;    // after a failure
};

/// A chunk that could not be fetched, is not what its name promises, or failed in the visitor. The
/// message names the object.
struct ChunkFailure {
  uint32_t chunk = 0;
  Error error;
};

struct SweepReport {
  uint64_t chunks_good = 0;
  uint64_t chunks_bad = 0;
  std::vector<ChunkFailure> failures;  // ascending; the first is the lowest of all
};

/// Called with a verified chunk's ciphertext on thread number `worker` (below sweep_threads()).
using SweepVisitor =
    std::function<Result<void>(unsigned worker, uint32_t chunk, ByteSpan ciphertext)>;

unsigned sweep_threads(const ManifestClear& clear, const SweepOptions& options);

/// `chunks` are ascending numbers of the manifest's table. Advances `progress` by the chunks'
/// bytes. An error only for kInterrupted; failures of chunks are in the report. Without keep_going
/// it stops at a failure, and the report's first is still the lowest in order.
Result<SweepReport> sweep_chunks(const ObjectStore& store, const ManifestClear& clear,
                                 std::span<const uint32_t> chunks, const SweepOptions& options,
                                 Progress& progress, const SweepVisitor& visit);

}  // namespace thaw
