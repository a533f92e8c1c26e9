// SPDX-License-Identifier: Apache-2.0
//
// RegionMap: pages of the memory image to addresses of the VMM and back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "thaw/base/units.h"
#include "thaw/resume/vmm_handshake.h"

namespace thaw {

/// Immutable. Regions are few, so both ways are a short search.
class RegionMap {
 public:
  /// Validated regions (validate_regions).
  explicit RegionMap(std::vector<MemoryRegion> regions);

  std::span<const MemoryRegion> regions() const { return by_address_; }
  uint64_t page_bytes() const { return by_address_.front().page_bytes; }

  /// The image's page at that address; nullopt if no region has it.
  std::optional<uint64_t> page_at(uint64_t address) const;

  /// Where a page of the image is, and how many pages follow it in its region, itself included.
  struct Place {
    uint64_t address = 0;
    uint64_t pages = 0;
  };
  Place place_of(uint64_t page) const;

  /// The pages of the image inside an address range; parts outside every region are left out.
  std::vector<PageRun> pages_in(uint64_t begin, uint64_t end) const;

 private:
  std::vector<MemoryRegion> by_address_;
  std::vector<MemoryRegion> by_offset_;
};

}  // namespace thaw
