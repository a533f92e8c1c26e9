// SPDX-License-Identifier: Apache-2.0
//
// verify: proves that a snapshot is whole. The manifest has the digest of its name and opens under
// the tenant's key, and every chunk is there, has its size and is what its name promises. With that
// every page of every image can be restored, because the chunk keys and page maps are authenticated
// with the manifest. A working set, if one was recorded, has to open and to belong to the manifest,
// and the chunks of its packs are chunks like the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/store/catalog.h"

namespace thaw {

struct VerifyOptions {
  unsigned threads = 0;     // 0: one for each core
  bool keep_going = false;  // after a bad object: check the others, too
};

/// An object that is missing, unreadable or not what its name promises.
struct BadObject {
  std::string key;  // in the store
  Error error;      // why; names the key, too
};

struct SnapshotVerdict {
  std::string name;
  NameTarget target;
  uint64_t chunks_good = 0;     // fetched and right
  uint64_t chunks_skipped = 0;  // checked with an earlier snapshot of the same run
  uint64_t chunks_bad = 0;
  uint64_t bytes_checked = 0;
  /// The bad objects in order, the manifest or else the lowest chunk first, what belongs to the
  /// working set and the page digests last; with keep_going at most kSweepFailuresMax chunks of
  /// each, else those found before it stopped.
  std::vector<BadObject> bad;
  double seconds = 0;

  bool good() const { return bad.empty(); }
};

/// Verifies one snapshot of the tenant of `keys`. What is bad is in the verdict. An error only if
/// there is nothing to judge: kNotFound if there is no such name, kInterrupted, or a name that
/// cannot be read.
Result<SnapshotVerdict> verify_snapshot(const Catalog& catalog, const KeyProvider& keys,
                                        std::string_view name, const VerifyOptions& options,
                                        Progress& progress);

/// Verifies all snapshots of the tenant, by name; a chunk that several share is fetched once.
/// Without keep_going the last verdict is the first bad one. `progress` runs anew for each
/// snapshot. A name that was removed meanwhile is left out. About 40 bytes for each different
/// chunk.
Result<std::vector<SnapshotVerdict>> verify_tenant(const Catalog& catalog, const KeyProvider& keys,
                                                   const VerifyOptions& options,
                                                   Progress& progress);

}  // namespace thaw
