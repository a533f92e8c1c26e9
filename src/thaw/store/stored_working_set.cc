// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/stored_working_set.h"

#include "thaw/base/check.h"
#include "thaw/store/companion.h"

namespace thaw {

Result<std::optional<WorkingSet>> open_working_set(const Catalog& catalog, const KeyProvider& keys,
                                                   const NameTarget& target, uint64_t page_count) {
  return open_companion(
      catalog, working_set_key(target.root_id, target.manifest),
      [&](ByteSpan bytes) { return decode_working_set(bytes, target.manifest, page_count, keys); });
}

Result<void> put_working_set(Catalog& catalog, const KeyProvider& keys, const NameTarget& target,
                             const WorkingSet& set) {
  CHECK(set.manifest == target.manifest);
  ASSIGN_OR_RETURN(const Bytes bytes, encode_working_set(set, keys));
  return catalog.store().replace(working_set_key(target.root_id, target.manifest), bytes);
}

Result<WorkingSet> add_recording(Catalog& catalog, const KeyProvider& keys,
                                 const NameTarget& target, uint64_t page_count, Recording recording,
                                 bool replace) {
  CHECK(!recording.touches.empty());
  WorkingSet set;
  set.manifest = target.manifest;
  if (!replace) {
    ASSIGN_OR_RETURN(std::optional<WorkingSet> former,
                     open_working_set(catalog, keys, target, page_count));
    if (former) set.recordings = std::move(former->recordings);
  }
  if (set.recordings.size() == kRecordingsMax) set.recordings.erase(set.recordings.begin());
  set.recordings.push_back(std::move(recording));
  TRY(put_working_set(catalog, keys, target, set));
  return set;
}

Result<void> copy_working_set(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                              const NameTarget& to) {
  CHECK(from.root_id == to.root_id);
  // The size of the memory is the manifest's to know; who opens the copy checks against it.
  ASSIGN_OR_RETURN(std::optional<WorkingSet> set,
                   open_working_set(catalog, keys, from, kImagePagesMax));
  if (!set) return {};
  set->manifest = to.manifest;
  return put_working_set(catalog, keys, to, *set);
}

}  // namespace thaw
