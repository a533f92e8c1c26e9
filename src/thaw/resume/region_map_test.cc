// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/region_map.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

// Ten pages in two regions: the image's second part lies lower in the address space.
RegionMap two_regions() {
  return RegionMap({{0x10000, 4 * kPageBytes, 6 * kPageBytes, kPageBytes},
                    {0x80000, 6 * kPageBytes, 0, kPageBytes}});
}

TEST(RegionMap, BothWaysAgree) {
  const RegionMap map = two_regions();
  for (uint64_t page = 0; page < 10; ++page) {
    const RegionMap::Place place = map.place_of(page);
    EXPECT_EQ(map.page_at(place.address), page);
    EXPECT_EQ(map.page_at(place.address + kPageBytes - 1), page);
    EXPECT_EQ(place.pages, page < 6 ? 6 - page : 10 - page);
  }
}

TEST(RegionMap, AddressesOutsideHaveNoPage) {
  const RegionMap map = two_regions();
  EXPECT_FALSE(map.page_at(0));
  EXPECT_FALSE(map.page_at(0x10000 - 1));
  EXPECT_FALSE(map.page_at(0x10000 + 4 * kPageBytes));
  EXPECT_FALSE(map.page_at(UINT64_MAX));
}

TEST(RegionMap, RangesAreCutToRegions) {
  const RegionMap map = two_regions();
  EXPECT_EQ(map.pages_in(0, UINT64_MAX), (std::vector<PageRun>{{6, 4}, {0, 6}}));
  EXPECT_EQ(map.pages_in(0x80000 + kPageBytes, 0x80000 + 3 * kPageBytes),
            (std::vector<PageRun>{{1, 2}}));
  EXPECT_TRUE(map.pages_in(0x20000, 0x30000).empty());
}

}  // namespace
}  // namespace thaw
