// SPDX-License-Identifier: Apache-2.0
//
// Rewrapping: after a rotation every manifest of the tenant is put again with its data key under
// the new master key, and its working set with it, because that is known by the manifest's id.
// Order: new manifest, its working set, then the names, then the old two go. A crash at any point
// leaves every name readable with its working set, and at most objects that collection finds; doing
// it again completes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/store/catalog.h"

namespace thaw {

struct RewrapReport {
  uint64_t rewrapped = 0;  // manifests
  uint64_t current = 0;    // manifests that were under the active key already
  uint64_t rebound = 0;    // names
  /// What could not be rewrapped, each naming its snapshot; the rest was done all the same. A
  /// damaged working set does not hold up its manifest: it is reported here once and dropped.
  std::vector<Error> failures;
};

/// Rewraps what the active master key of `keys` does not wrap. An error only if the names cannot be
/// listed. The store cannot compare and swap: a `freeze --replace` of the same name in the instant
/// between looking and rebinding loses.
Result<RewrapReport> rewrap_tenant(Catalog& catalog, const KeyProvider& keys);

/// The names whose manifests are not under the active master key. Fails on a manifest that cannot
/// be read, because then nobody knows.
Result<std::vector<std::string>> names_to_rewrap(const Catalog& catalog, const KeyProvider& keys);

}  // namespace thaw
