// SPDX-License-Identifier: Apache-2.0
//
// A snapshot with its recordings, for the verbs that need both.
#pragma once

#include <string_view>

#include "thaw/base/result.h"
#include "thaw/cli/workspace.h"
#include "thaw/image/working_set.h"

namespace thaw {

struct RecordedSnapshot {
  OpenedSnapshot snapshot;
  WorkingSet recorded;
};

/// kNotFound if there is no such snapshot or nothing was recorded with it, kInvalid if it has no
/// memory; errors of open_snapshot() and open_working_set().
Result<RecordedSnapshot> open_recorded(const Catalog& catalog, const KeyProvider& keys,
                                       std::string_view name);

}  // namespace thaw
