// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_digests.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'P', 'D', 'I', 'G'}, 1, "set of page digests"};

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kInvalid, "not a valid set of page digests: " + why);
}

}  // namespace

Result<Bytes> encode_page_digests(const PageDigests& digests, const KeyProvider& keys) {
  return make_envelope(kKind, digests.manifest.digest, std::as_bytes(std::span(digests.pages)),
                       keys);
}

Result<PageDigests> decode_page_digests(ByteSpan bytes, const ManifestId& manifest,
                                        uint64_t data_pages, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  if (view.clear.size() != kDigestBytes) return malformed("its clear plane has a wrong length");
  PageDigests digests;
  std::ranges::copy(view.clear, digests.manifest.digest.begin());
  if (digests.manifest != manifest) {
    return malformed("it belongs to manifest " + digests.manifest.hex() + ", not to " +
                     manifest.hex());
  }
  ASSIGN_OR_RETURN(const SecretBytes secret, open_envelope(kKind, view, keys));
  if (secret.size() % kPageDigestBytes != 0 || secret.size() / kPageDigestBytes != data_pages) {
    return malformed("it has " + std::to_string(secret.size()) + " bytes for " +
                     std::to_string(data_pages) + " pages");
  }
  digests.pages.resize(static_cast<size_t>(data_pages));
  // SAFETY: a PageDigest is an array of bytes.
  if (data_pages != 0) std::memcpy(digests.pages.data(), secret.data(), secret.size());
  return digests;
}

DataPageIndex::DataPageIndex(const PageMap& map) : map_(map) {
  uint64_t pages = 0;
  before_.reserve(map.extents().size());
  for (const Extent& extent : map.extents()) {
    before_.push_back(pages);
    pages += extent.count;
  }
}

uint64_t DataPageIndex::of(uint64_t page) const {
  const std::span<const Extent> extents = map_.extents();
  const auto after =
      std::ranges::upper_bound(extents, page, {}, [](const Extent& e) { return uint64_t{e.page}; });
  CHECK(after != extents.begin());
  const Extent& extent = *std::prev(after);
  CHECK(page < extent.end());
  return before_[static_cast<size_t>(std::prev(after) - extents.begin())] + (page - extent.page);
}

}  // namespace thaw
