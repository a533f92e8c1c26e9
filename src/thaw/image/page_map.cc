// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_map.h"

#include <algorithm>
#include <string>

#include "thaw/base/check.h"

namespace thaw {

Result<PageMap> PageMap::make(uint64_t page_count, std::vector<Extent> extents,
                              std::span<const uint32_t> chunk_pages) {
  uint64_t free_from = 0;  // the first page after the extents seen so far
  uint64_t data_pages = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    const Extent& extent = extents[i];
    const char* wrong = nullptr;
    if (extent.count == 0) {
      wrong = "is empty";
    } else if (extent.page < free_from) {
      wrong = "overlaps or precedes the one before it";
    } else if (extent.end() > page_count) {
      wrong = "goes past the end of the image";
    } else if (extent.chunk >= chunk_pages.size()) {
      wrong = "names a chunk that is not in the table";
    } else if (uint64_t{extent.slot} + extent.count > chunk_pages[extent.chunk]) {
      wrong = "goes past the end of its chunk";
    }
    if (wrong != nullptr) {
      return fail(ErrorCode::kInvalid, "extent " + std::to_string(i) + " " + wrong);
    }
    free_from = extent.end();
    data_pages += extent.count;
  }
  PageMap map;
  map.page_count_ = page_count;
  map.data_pages_ = data_pages;
  map.extents_ = std::move(extents);
  return map;
}

size_t PageMap::first_ending_after(uint64_t page) const {
  const auto found =
      std::upper_bound(extents_.begin(), extents_.end(), page,
                       [](uint64_t wanted, const Extent& extent) { return wanted < extent.end(); });
  return static_cast<size_t>(found - extents_.begin());
}

PageLocation PageMap::location_at(size_t index, uint64_t page) const {
  if (index == extents_.size()) return {true, 0, 0, page_count_ - page};
  const Extent& extent = extents_[index];
  if (page < extent.page) return {true, 0, 0, extent.page - page};
  const uint64_t into = page - extent.page;
  return {false, extent.chunk, static_cast<uint32_t>(extent.slot + into), extent.count - into};
}

PageLocation PageMap::locate(uint64_t page) const {
  DCHECK(page < page_count_);
  return location_at(first_ending_after(page), page);
}

ChunkIndex::ChunkIndex(const PageMap& map, size_t chunk_count)
    : begins_(chunk_count + 1, 0), extents_(map.extents().size()) {
  for (const Extent& extent : map.extents()) ++begins_[extent.chunk + 1];
  for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
  std::vector<uint32_t> next(begins_.begin(), begins_.end() - 1);
  for (size_t i = 0; i < map.extents().size(); ++i) {
    extents_[next[map.extents()[i].chunk]++] = static_cast<uint32_t>(i);
  }
}

}  // namespace thaw
