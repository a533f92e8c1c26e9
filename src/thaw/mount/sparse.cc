// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/sparse.h"

#include <algorithm>

#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr uint64_t kStatBlockBytes = 512;

/// The first byte at or after `offset` whose page is zero or not, as asked; the image's size if
/// none.
uint64_t seek(const Image& image, uint64_t offset, bool zero) {
  uint64_t page = offset / kPageBytes;
  while (page < image.map.page_count()) {
    const PageLocation location = image.map.locate(page);
    if (location.zero == zero) return std::max(offset, page * kPageBytes);
    page += location.count;
  }
  return image.bytes;
}

}  // namespace

std::optional<uint64_t> seek_data(const Image& image, uint64_t offset) {
  if (offset >= image.bytes) return std::nullopt;
  const uint64_t found = seek(image, offset, false);
  if (found == image.bytes) return std::nullopt;
  return found;
}

std::optional<uint64_t> seek_hole(const Image& image, uint64_t offset) {
  if (offset >= image.bytes) return std::nullopt;
  return seek(image, offset, true);
}

uint64_t data_blocks(const Image& image) {
  return image.map.data_pages() * (kPageBytes / kStatBlockBytes);
}

}  // namespace thaw
