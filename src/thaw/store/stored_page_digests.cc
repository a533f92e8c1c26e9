// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/stored_page_digests.h"

#include "thaw/base/check.h"
#include "thaw/store/companion.h"

namespace thaw {

Result<std::optional<PageDigests>> open_page_digests(const Catalog& catalog,
                                                     const KeyProvider& keys,
                                                     const NameTarget& target,
                                                     uint64_t data_pages) {
  return open_companion(catalog, page_digests_key(target.root_id, target.manifest),
                        [&](ByteSpan bytes) {
                          return decode_page_digests(bytes, target.manifest, data_pages, keys);
                        });
}

Result<void> put_page_digests(Catalog& catalog, const KeyProvider& keys, const NameTarget& target,
                              const PageDigests& digests) {
  CHECK(digests.manifest == target.manifest);
  ASSIGN_OR_RETURN(const Bytes bytes, encode_page_digests(digests, keys));
  return catalog.store().replace(page_digests_key(target.root_id, target.manifest), bytes);
}

Result<void> copy_page_digests(Catalog& catalog, const KeyProvider& keys, const NameTarget& from,
                               const NameTarget& to, uint64_t data_pages) {
  CHECK(from.root_id == to.root_id);
  ASSIGN_OR_RETURN(std::optional<PageDigests> digests,
                   open_page_digests(catalog, keys, from, data_pages));
  if (!digests) return {};
  digests->manifest = to.manifest;
  return put_page_digests(catalog, keys, to, *digests);
}

}  // namespace thaw
