// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/cache_format.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "thaw/base/aligned_buffer.h"

namespace thaw {
namespace {

constexpr CacheGeometry kGeometry{16 * 1024, 2};

CacheFileId counting_id() {
  CacheFileId id;
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(i);
  return id;
}

ChunkId name_of(int byte) {
  ChunkId id;
  std::fill(id.digest.begin(), id.digest.end(), static_cast<std::byte>(byte));
  return id;
}

/// Without the zeros at the end.
std::string hex_of(ByteSpan bytes) {
  while (!bytes.empty() && bytes.back() == std::byte{0}) bytes = bytes.first(bytes.size() - 1);
  return to_hex(bytes);
}

TEST(CacheFormat, TheExampleOfTheSpecification) {
  std::array<std::byte, kPageBytes> page;
  encode_superblock({kGeometry, counting_id(), true}, page);
  EXPECT_EQ(hex_of(page),
            "7468617763616368010000000100000000400000020000000001020304050607"
            "08090a0b0c0d0e0ff6d238581faec39c");
  Bytes header(kGeometry.header_bytes());
  const Bytes ciphertext(kPageBytes, std::byte{0x61});
  encode_slot_header({kGeometry, counting_id(), 1}, name_of(0x11), 3, ciphertext, header);
  EXPECT_EQ(hex_of(header),
            "74686177736c6f740100000001000000000102030405060708090a0b0c0d0e0f"
            "1111111111111111111111111111111111111111111111111111111111111111"
            "030000000000000001000000000000001e7019e97006a388a4a55d1cf2227ee8");
}

TEST(CacheFormat, GeometryFitsTheCapacity) {
  for (const uint32_t slot_bytes : {kChunkBytesMin, kChunkBytesDefault, kChunkBytesMax}) {
    const uint64_t one = CacheGeometry{slot_bytes, 1}.file_bytes();
    EXPECT_FALSE(geometry_for(one - 1, slot_bytes));
    EXPECT_EQ(geometry_for(one, slot_bytes)->slots, 1u);
    const CacheGeometry large = *geometry_for(kGiB, slot_bytes);
    EXPECT_LE(large.file_bytes(), kGiB);
    EXPECT_GT(large.file_bytes() + large.stride(), kGiB);
    EXPECT_EQ(large.stride() % kPageBytes, 0u);
  }
  EXPECT_EQ(geometry_for(UINT64_MAX, kChunkBytesMax)->slots, kCacheSlotsMax);
  EXPECT_FALSE(geometry_for(kGiB, 20'000));
  EXPECT_FALSE(geometry_for(kGiB, 8192));
}

TEST(CacheFormat, ASuperblockComesBackAndDamageIsTold) {
  const Superblock superblock{kGeometry, counting_id(), true};
  std::array<std::byte, kPageBytes> page;
  encode_superblock(superblock, page);
  const auto decoded = decode_superblock(page);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->geometry, kGeometry);
  EXPECT_EQ(decoded->file_id, counting_id());
  EXPECT_TRUE(decoded->ready);
  for (size_t bit = 0; bit < 48 * 8; ++bit) {
    auto flipped = page;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto fault = decode_superblock(flipped);
    ASSERT_FALSE(fault) << bit;
    EXPECT_EQ(fault.error(), bit < 64   ? SuperblockFault::kForeign
                             : bit < 96 ? SuperblockFault::kOtherVersion
                                        : SuperblockFault::kDamaged);
  }
  page.fill(std::byte{0});
  EXPECT_EQ(decode_superblock(page).error(), SuperblockFault::kForeign);
}

TEST(CacheFormat, AnOwnerComesBack) {
  std::array<std::byte, kPageBytes> page;
  encode_owner(4711, page);
  EXPECT_EQ(decode_owner(page), 4711u);
  page[9] ^= std::byte{1};
  EXPECT_EQ(decode_owner(page), 0u);
}

TEST(CacheFormat, ASlotHeaderComesBackOnlyInItsPlace) {
  Bytes ciphertext(3 * kPageBytes);
  for (size_t i = 0; i < ciphertext.size(); ++i) ciphertext[i] = static_cast<std::byte>(i * 7 >> 3);
  ciphertext[kPageBytes + 9] ^= std::byte{1};  // else its pages are alike
  Bytes bytes(kGeometry.header_bytes());
  const SlotPlace place{kGeometry, counting_id(), 1};
  encode_slot_header(place, name_of(5), 99, ciphertext, bytes);
  const auto header = decode_slot_header(place, bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->id, name_of(5));
  EXPECT_EQ(header->sequence, 99u);
  EXPECT_EQ(header->pages, 3u);
  EXPECT_TRUE(header->matches(ciphertext));
  EXPECT_FALSE(header->matches(ByteSpan(ciphertext).first(2 * kPageBytes)));
  const ByteSpan second = ByteSpan(ciphertext).subspan(kPageBytes, kPageBytes);
  EXPECT_TRUE(header->matches_part(1, second));
  EXPECT_TRUE(header->matches_part(1, ByteSpan(ciphertext).subspan(kPageBytes)));
  EXPECT_FALSE(header->matches_part(0, second));
  EXPECT_FALSE(header->matches_part(2, ByteSpan(ciphertext).subspan(kPageBytes)));
  EXPECT_FALSE(header->matches_part(4, {}));
  EXPECT_FALSE(header->matches_part(1, second.first(100)));
  for (size_t at = 0; at < ciphertext.size(); at += 511) {
    ciphertext[at] ^= std::byte{4};
    EXPECT_FALSE(header->matches(ciphertext)) << at;
    ciphertext[at] ^= std::byte{4};
  }

  SlotPlace other = place;
  other.slot = 0;
  EXPECT_FALSE(decode_slot_header(other, bytes));
  other = place;
  other.file_id[3] ^= std::byte{1};
  EXPECT_FALSE(decode_slot_header(other, bytes));
  EXPECT_FALSE(is_empty_slot(bytes));
  const size_t used = kSlotHeaderFixedBytes + 4 * kChecksumBytes;
  for (size_t bit = 0; bit < used * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(decode_slot_header(place, bytes)) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  EXPECT_FALSE(decode_slot_header(place, bytes));
  EXPECT_TRUE(is_empty_slot(bytes));
}

TEST(CacheFormat, TheLargestHeaderHoldsEveryChecksum) {
  const CacheGeometry geometry{kChunkBytesMax, 1};
  AlignedBuffer ciphertext(kChunkBytesMax);
  std::fill_n(ciphertext.data(), ciphertext.size(), std::byte{9});
  Bytes bytes(geometry.header_bytes());
  encode_slot_header({geometry, {}, 0}, name_of(1), 1, ciphertext.span(), bytes);
  const auto header = decode_slot_header({geometry, {}, 0}, bytes);
  ASSERT_TRUE(header);
  EXPECT_TRUE(header->matches(ciphertext.span()));
  ciphertext.data()[kChunkBytesMax - 1] = std::byte{8};
  EXPECT_FALSE(header->matches(ciphertext.span()));
}

}  // namespace
}  // namespace thaw
