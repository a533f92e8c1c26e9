// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/sparse.h"

#include <gtest/gtest.h>

#include "thaw/base/units.h"

namespace thaw {
namespace {

// Pages:  0 zero, 1 and 2 data (two extents that touch), 3 zero, 4 data, 5 zero with a short end.
Image six_pages() {
  const std::vector<uint32_t> chunk_pages = {4};
  Image image{ImageKind::kDisk, "disk", 5 * kPageBytes + 7, {}};
  image.map = *PageMap::make(6, {{1, 0, 0, 1}, {2, 0, 3, 1}, {4, 0, 1, 1}}, chunk_pages);
  return image;
}

TEST(Sparse, DataIsFoundAtItsFirstByte) {
  const Image image = six_pages();
  EXPECT_EQ(seek_data(image, 0), kPageBytes);
  EXPECT_EQ(seek_data(image, kPageBytes + 5), kPageBytes + 5);
  EXPECT_EQ(seek_data(image, 3 * kPageBytes - 1), 3 * kPageBytes - 1);
  EXPECT_EQ(seek_data(image, 3 * kPageBytes), 4 * kPageBytes);
}

TEST(Sparse, PastTheLastDataThereIsNone) {
  const Image image = six_pages();
  EXPECT_EQ(seek_data(image, 5 * kPageBytes), std::nullopt);
  EXPECT_EQ(seek_data(image, image.bytes), std::nullopt);
  EXPECT_EQ(seek_hole(image, image.bytes), std::nullopt);
  EXPECT_EQ(seek_hole(image, UINT64_MAX), std::nullopt);
}

TEST(Sparse, AHoleIsFoundAcrossExtentsThatTouch) {
  const Image image = six_pages();
  EXPECT_EQ(seek_hole(image, 3), 3u);
  EXPECT_EQ(seek_hole(image, kPageBytes), 3 * kPageBytes);
  EXPECT_EQ(seek_hole(image, 4 * kPageBytes + 1), 5 * kPageBytes);
  EXPECT_EQ(data_blocks(image), 3 * 8u);
}

TEST(Sparse, AnImageWithoutHolesEndsInOne) {
  const std::vector<uint32_t> chunk_pages = {2};
  Image image{ImageKind::kVmstate, "vmstate", kPageBytes + 1, {}};
  image.map = *PageMap::make(2, {{0, 0, 0, 2}}, chunk_pages);
  EXPECT_EQ(seek_hole(image, 0), image.bytes);
  EXPECT_EQ(seek_data(image, kPageBytes), kPageBytes);
}

TEST(Sparse, AnEmptyImageHasNeither) {
  const Image image;
  EXPECT_EQ(seek_data(image, 0), std::nullopt);
  EXPECT_EQ(seek_hole(image, 0), std::nullopt);
  EXPECT_EQ(data_blocks(image), 0u);
}

}  // namespace
}  // namespace thaw
