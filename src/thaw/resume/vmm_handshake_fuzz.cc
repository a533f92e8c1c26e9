// SPDX-License-Identifier: Apache-2.0
//
// Handshakes from hostile clients. What is accepted is a partition of the image that the page
// server can rely on.
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/resume/region_map.h"
#include "thaw/resume/vmm_handshake.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  const std::string_view text = as_text(std::as_bytes(std::span(data, size)));
  Result<ParsedRegions> parsed = parse_regions(text);
  if (!parsed) return 0;
  uint64_t image_bytes = 0;
  for (const MemoryRegion& region : parsed->regions) image_bytes += region.bytes;
  if (image_bytes > kGiB || !validate_regions(parsed->regions, image_bytes)) return 0;
  const RegionMap map(parsed->regions);
  for (const MemoryRegion& region : map.regions()) {
    CHECK(region.address % region.page_bytes == 0 && region.bytes > 0);
    CHECK(*map.page_at(region.address) == region.offset / kPageBytes);
    CHECK(map.place_of(region.offset / kPageBytes).address == region.address);
    CHECK(map.pages_in(region.address, region.address + region.bytes).size() == 1);
  }
  return 0;
}
