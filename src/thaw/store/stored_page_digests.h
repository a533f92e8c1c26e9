// SPDX-License-Identifier: Apache-2.0
//
// The page digests of a manifest in a store. They only save reading the snapshot, so whoever finds
// them damaged goes on without them.
#pragma once

#include <cstdint>
#include <optional>

#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/image/page_digests.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// The digests of the manifest, whose memory has `data_pages` pages that are not zero; nullopt if
/// there are none. Errors name the object: kCorrupt if its bytes are no digests of this manifest,
/// kUnsupported and kDenied as for decode_page_digests(), and the store's own.
Result<std::optional<PageDigests>> open_page_digests(const Catalog& catalog,
                                                     const KeyProvider& keys,
                                                     const NameTarget& target, uint64_t data_pages);

/// Seals them and puts them in the place of what is there, as one step. `digests` are of that
/// manifest.
Result<void> put_page_digests(Catalog& catalog, const KeyProvider& keys, const NameTarget& target,
                              const PageDigests& digests);

/// Gives `to` a copy of the digests of `from`, sealed under the active master key; nothing if
/// `from` has none. For a manifest whose bytes changed and whose content did not. Both are of one
/// root. Errors as of open_page_digests().
Result<void> copy_page_digests(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                               const NameTarget& to, uint64_t data_pages);

}  // namespace thaw
