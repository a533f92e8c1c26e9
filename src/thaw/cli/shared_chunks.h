// SPDX-License-Identifier: Apache-2.0
//
// What snapshots have in common: chunks of one name in one root. Counted from the clear planes of
// manifests, without a key.
#pragma once

#include <cstdint>
#include <string>

#include "thaw/base/result.h"
#include "thaw/image/manifest.h"
#include "thaw/store/catalog.h"

namespace thaw {

struct SharedChunks {
  uint64_t snapshots = 0;  // that have a chunk of it
  uint64_t chunks = 0;     // of it that some other has
  uint64_t bytes = 0;
};

/// What `clear` has in common with `other`.
SharedChunks shared_between(const ManifestClear& clear, const ManifestClear& other);

/// What `clear` has in common with all snapshots of the tenant but `name`. Reads their manifests;
/// names that go meanwhile are left out.
Result<SharedChunks> shared_with_others(const Catalog& catalog, const std::string& tenant,
                                        const std::string& name, const ManifestClear& clear);

}  // namespace thaw
