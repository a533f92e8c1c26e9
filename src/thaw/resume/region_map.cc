// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/region_map.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {

RegionMap::RegionMap(std::vector<MemoryRegion> regions)
    : by_address_(std::move(regions)), by_offset_(by_address_) {
  CHECK(!by_address_.empty());
  std::sort(by_offset_.begin(), by_offset_.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

std::optional<uint64_t> RegionMap::page_at(uint64_t address) const {
  for (const MemoryRegion& region : by_address_) {
    if (address >= region.address && address - region.address < region.bytes) {
      return (region.offset + (address - region.address)) / kPageBytes;
    }
  }
  return std::nullopt;
}

RegionMap::Place RegionMap::place_of(uint64_t page) const {
  const uint64_t offset = page * kPageBytes;
  for (const MemoryRegion& region : by_offset_) {
    if (offset < region.offset + region.bytes) {
      DCHECK(offset >= region.offset);
      const uint64_t into = offset - region.offset;
      return {region.address + into, (region.bytes - into) / kPageBytes};
    }
  }
  CHECK(false);  // validated regions cover the whole image
}

std::vector<PageRun> RegionMap::pages_in(uint64_t begin, uint64_t end) const {
  std::vector<PageRun> runs;
  for (const MemoryRegion& region : by_address_) {
    const uint64_t from = std::max(begin, region.address);
    const uint64_t to = std::min(end, region.address + region.bytes);
    if (from >= to) continue;
    runs.push_back(
        {(region.offset + (from - region.address)) / kPageBytes, (to - from) / kPageBytes});
  }
  return runs;
}

}  // namespace thaw
