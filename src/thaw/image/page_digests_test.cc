// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_digests.h"

#include <gtest/gtest.h>

#include "thaw/testing/fixed_keys.h"

namespace thaw {
namespace {

PageDigests digests_of(size_t pages) {
  PageDigests digests;
  digests.manifest.digest = sha256(as_bytes("manifest"));
  digests.pages.resize(pages);
  for (size_t i = 0; i < pages; ++i) digests.pages[i].fill(static_cast<std::byte>(i));
  return digests;
}

TEST(PageDigests, ComeBackForTheirManifestOnly) {
  const FixedKeys keys;
  for (const size_t pages : {0u, 1u, 1000u}) {
    const PageDigests digests = digests_of(pages);
    const auto bytes = encode_page_digests(digests, keys);
    ASSERT_TRUE(bytes);
    const auto back = decode_page_digests(*bytes, digests.manifest, pages, keys);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->pages, digests.pages);
    EXPECT_EQ(decode_page_digests(*bytes, {}, pages, keys).error().code, ErrorCode::kInvalid);
    EXPECT_EQ(decode_page_digests(*bytes, digests.manifest, pages + 1, keys).error().code,
              ErrorCode::kInvalid);
    EXPECT_EQ(decode_page_digests(*bytes, digests.manifest, pages, FixedKeys("other")).error().code,
              ErrorCode::kDenied);
  }
}

TEST(PageDigests, EveryBitCounts) {
  const FixedKeys keys;
  const PageDigests digests = digests_of(3);
  Bytes bytes = *encode_page_digests(digests, keys);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_page_digests(bytes, digests.manifest, 3, keys)) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

TEST(DataPageIndex, CountsThePagesBefore) {
  const uint32_t chunk_pages[] = {100};
  const auto map = PageMap::make(100, {{3, 0, 0, 2}, {5, 0, 50, 1}, {90, 0, 7, 10}}, chunk_pages);
  ASSERT_TRUE(map);
  const DataPageIndex index(*map);
  EXPECT_EQ(index.of(3), 0u);
  EXPECT_EQ(index.of(4), 1u);
  EXPECT_EQ(index.of(5), 2u);
  EXPECT_EQ(index.of(90), 3u);
  EXPECT_EQ(index.of(99), 12u);
}

}  // namespace
}  // namespace thaw
