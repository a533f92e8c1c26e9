// SPDX-License-Identifier: Apache-2.0
//
// MountedSnapshot: one snapshot as the mount sees it, known by its manifest id. The manifest is
// read when somebody first looks inside and lives as long as an inode refers to the snapshot.
// Everything here is immutable or guarded: callable from many threads.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/image/manifest.h"
#include "thaw/store/catalog.h"
#include "thaw/tier/chunk_source.h"
#include "thaw/tier/page_reader.h"

namespace thaw {

/// A manifest and a reader for each of its images, in their order.
class OpenSnapshot {
 public:
  OpenSnapshot(Manifest manifest, ChunkSource& source);
  OpenSnapshot(const OpenSnapshot&) = delete;  // the readers borrow the manifest
  OpenSnapshot& operator=(const OpenSnapshot&) = delete;

  const Manifest& manifest() const { return manifest_; }
  const Image& image(size_t index) const { return manifest_.images[index]; }
  const PageReader& reader(size_t index) const { return readers_[index]; }

 private:
  const Manifest manifest_;
  std::deque<PageReader> readers_;
};

/// Where snapshots come from. All borrowed.
struct SnapshotOrigin {
  const Catalog& catalog;
  const KeyProvider& keys;
  ChunkSource& source;
};

class MountedSnapshot {
 public:
  MountedSnapshot(const SnapshotOrigin& origin, const NameTarget& target)
      : origin_(origin), target_(target) {}

  const NameTarget& target() const { return target_; }

  /// Reads and opens the manifest at the first call; a failure is not kept, the next call tries
  /// again. The result lives as long as this object. Errors as of read_manifest() and
  /// decode_manifest().
  Result<const OpenSnapshot*> open() const;

 private:
  const SnapshotOrigin origin_;
  const NameTarget target_;
  mutable Guarded<std::unique_ptr<const OpenSnapshot>> opened_;
};

/// Hands the same MountedSnapshot to all who ask for a target while any of them holds it, so that a
/// manifest is in memory once however many names point at it.
class SnapshotTable {
 public:
  explicit SnapshotTable(const SnapshotOrigin& origin) : origin_(origin) {}

  std::shared_ptr<const MountedSnapshot> get(const NameTarget& target);

 private:
  using Key = std::pair<uint64_t, ManifestId>;
  const SnapshotOrigin origin_;
  Guarded<std::map<Key, std::weak_ptr<const MountedSnapshot>>> snapshots_;
};

}  // namespace thaw
