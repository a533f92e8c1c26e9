// SPDX-License-Identifier: Apache-2.0
//
// The working set of a manifest in a store: opened, replaced, and taken along when the manifest
// gets another id. It only makes resumes faster, so whoever finds it damaged goes on without it.
#pragma once

#include <cstdint>
#include <optional>

#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/image/working_set.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// The working set of the manifest, whose memory has `page_count` pages; nullopt if none was
/// recorded. Errors name the object: kCorrupt if its bytes are no working set of this manifest,
/// kUnsupported and kDenied as for decode_working_set(), and the store's own.
Result<std::optional<WorkingSet>> open_working_set(const Catalog& catalog, const KeyProvider& keys,
                                                   const NameTarget& target, uint64_t page_count);

/// Seals it and puts it in the place of what is there, as one step. `set` is of that manifest.
Result<void> put_working_set(Catalog& catalog, const KeyProvider& keys, const NameTarget& target,
                             const WorkingSet& set);

/// Appends the recording, which must not be empty, to those that are there, or puts it in their
/// place, and returns the set that is now in the store. Above kRecordingsMax the oldest go; the
/// packs go in any case, since they were made for other recordings. The store cannot compare and
/// swap: of two recordings that end in the same instant one may get lost. Errors as of
/// open_working_set() unless `replace`, and the store's.
Result<WorkingSet> add_recording(Catalog& catalog, const KeyProvider& keys,
                                 const NameTarget& target, uint64_t page_count, Recording recording,
                                 bool replace);

/// Gives `to` a copy of the working set of `from`, sealed under the active master key; nothing if
/// `from` has none. For a manifest whose bytes changed and whose content did not. Both are of one
/// root. Errors as of open_working_set().
Result<void> copy_working_set(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                              const NameTarget& to);

}  // namespace thaw
