// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/recorded_snapshot.h"

#include "thaw/base/name.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {

Result<RecordedSnapshot> open_recorded(const Catalog& catalog, const KeyProvider& keys,
                                       std::string_view name) {
  ASSIGN_OR_RETURN(OpenedSnapshot snapshot, open_snapshot(catalog, keys, name));
  const Image* memory = snapshot.manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return fail(ErrorCode::kInvalid, "snapshot " + quote(name) + " has no memory");
  }
  ASSIGN_OR_RETURN(std::optional<WorkingSet> recorded,
                   open_working_set(catalog, keys, snapshot.target, memory->map.page_count()));
  if (!recorded) {
    return fail(ErrorCode::kNotFound, "snapshot " + quote(name) +
                                          " has no working set; run `thaw record " +
                                          std::string(name) + "` first");
  }
  return RecordedSnapshot{std::move(snapshot), std::move(*recorded)};
}

}  // namespace thaw
