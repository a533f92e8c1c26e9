// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/mounted_snapshot.h"

namespace thaw {

OpenSnapshot::OpenSnapshot(Manifest manifest, ChunkSource& source)
    : manifest_(std::move(manifest)) {
  for (const Image& image : manifest_.images) readers_.emplace_back(manifest_, image, source);
}

Result<const OpenSnapshot*> MountedSnapshot::open() const {
  // Under the lock on purpose: the second to ask waits for the first instead of reading it again.
  return opened_.with(
      [&](std::unique_ptr<const OpenSnapshot>& opened) -> Result<const OpenSnapshot*> {
        if (opened == nullptr) {
          ASSIGN_OR_RETURN(const Bytes bytes, origin_.catalog.read_manifest(target_));
          Result<Manifest> manifest = decode_manifest(bytes, origin_.keys);
          if (!manifest) {
            return fail(
                std::move(manifest).error().with_context("manifest " + target_.manifest.hex()));
          }
          opened = std::make_unique<const OpenSnapshot>(std::move(*manifest), origin_.source);
        }
        return opened.get();
      });
}

std::shared_ptr<const MountedSnapshot> SnapshotTable::get(const NameTarget& target) {
  return snapshots_.with([&](auto& snapshots) {
    std::erase_if(snapshots, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<const MountedSnapshot>& known = snapshots[{target.root_id, target.manifest}];
    std::shared_ptr<const MountedSnapshot> snapshot = known.lock();
    if (snapshot == nullptr) {
      snapshot = std::make_shared<const MountedSnapshot>(origin_, target);
      known = snapshot;
    }
    return snapshot;
  });
}

}  // namespace thaw
