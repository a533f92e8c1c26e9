// SPDX-License-Identifier: Apache-2.0
//
// PageDigests: a digest of each page of a snapshot's memory that is not zero, so that a later
// memory can be compared with it without reading a chunk. Sealed like a manifest and bound to one
// (image/FORMAT.md); 16 bytes a page, 0.4 % of the data.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/crypto/page_digest.h"
#include "thaw/image/manifest.h"
#include "thaw/image/page_map.h"

namespace thaw {

struct PageDigests {
  ManifestId manifest;
  std::vector<PageDigest> pages;  // of the memory's pages that are not zero, in order of address
};

/// kExhausted above the limit of an envelope (2^29 bytes: 128 GiB of data).
Result<Bytes> encode_page_digests(const PageDigests& digests, const KeyProvider& keys);
/// kInvalid also if they are bound to another manifest, or are not `data_pages` many; kUnsupported
/// and kDenied as for open_envelope().
Result<PageDigests> decode_page_digests(ByteSpan bytes, const ManifestId& manifest,
                                        uint64_t data_pages, const KeyProvider& keys);

/// How many pages of a map that are not zero stand before a page. 8 bytes an extent. Immutable.
class DataPageIndex {
 public:
  /// Borrows the map.
  explicit DataPageIndex(const PageMap& map);
  /// `page` is not zero.
  uint64_t of(uint64_t page) const;

 private:
  const PageMap& map_;
  std::vector<uint64_t> before_;  // by extent
};

}  // namespace thaw
