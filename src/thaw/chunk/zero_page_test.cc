// SPDX-License-Identifier: Apache-2.0
#include "thaw/chunk/zero_page.h"

#include <gtest/gtest.h>

#include "thaw/base/units.h"

namespace thaw {
namespace {

TEST(ZeroPage, OneBitAnywhereIsSeen) {
  Bytes page(kPageBytes);
  EXPECT_TRUE(is_zero(page));
  for (size_t at = 0; at < page.size(); ++at) {
    page[at] = std::byte{1};
    ASSERT_FALSE(is_zero(page)) << at;
    page[at] = std::byte{0};
  }
}

TEST(ZeroPage, ShortRanges) {
  EXPECT_TRUE(is_zero(Bytes(16)));
  Bytes bytes(16);
  bytes[15] = std::byte{1};
  EXPECT_FALSE(is_zero(bytes));
  EXPECT_TRUE(is_zero({}));
}

}  // namespace
}  // namespace thaw
