// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/stripe.h"

#include <gtest/gtest.h>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/zone/encoded_chunk.h"
#include "thaw/zone/memcache_protocol.h"
#include "thaw/zone/stripe_set.h"

namespace thaw {
namespace {

ChunkId counting_id() {
  ChunkId id;
  for (size_t i = 0; i < id.digest.size(); ++i) id.digest[i] = static_cast<std::byte>(i);
  return id;
}

Bytes counting_bytes(size_t count) {
  Bytes bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  return bytes;
}

// The worked example of FORMAT.md.
TEST(Stripe, WorkedExample) {
  const Bytes chunk(kPageBytes, std::byte{0x61});
  const StripeShape shape{3, 1};
  const EncodedChunk encoded(counting_id(), chunk, nullptr, shape, ReedSolomon(3, 1));
  EXPECT_EQ(encoded.id(0).payload_bytes(), 1376U);
  EXPECT_EQ(encoded.id(2).payload_bytes(), 1344U);
  EXPECT_EQ(encoded.id(3).payload_bytes(), 1376U);
  EXPECT_EQ(encoded.id(2).key(),
            "thaw1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:3+1:2");
  EXPECT_EQ(to_hex(encoded.header(2)),
            "746861777a6f6e65010003010200000001000000400500000001020304050607"
            "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f51a52c96ee217f48"
            "ce1f23355e61915e");
  EXPECT_EQ(to_hex(encoded.header(3)),
            "746861777a6f6e65010003010300000001000000600500000001020304050607"
            "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0d50824b4be9529e"
            "b0a427146d428c19");
  // XOR of three: as far as the short one goes 0x61, then two of them cancel out.
  EXPECT_EQ(encoded.payload(3)[1343], std::byte{0x61});
  EXPECT_EQ(encoded.payload(3)[1344], std::byte{0});
}

TEST(Stripe, StripesCoverEveryChunkOfEveryShape) {
  for (unsigned data = 1; data <= kDataStripesMax; ++data) {
    for (uint32_t pages = 1; pages <= kChunkPagesMax; ++pages) {
      const StripeShape shape{static_cast<uint8_t>(data), 1};
      const uint64_t bytes = uint64_t{pages} * kPageBytes;
      const uint32_t size = stripe_bytes(pages, shape);
      ASSERT_EQ(size % kStripeAlignment, 0U);
      uint64_t covered = 0;
      for (uint8_t i = 0; i < data; ++i) {
        const StripeId id{{}, pages, shape, i};
        ASSERT_EQ(id.offset(), covered);
        ASSERT_GT(id.payload_bytes(), 0U);
        ASSERT_TRUE(i + 1U == data || id.payload_bytes() == size);
        covered += id.payload_bytes();
      }
      ASSERT_EQ(covered, bytes);
      ASSERT_LE(uint64_t{data} * size - bytes, kStripeTailMax);
    }
  }
}

TEST(Stripe, KeysAreShortAndDistinct) {
  const StripeId id{counting_id(), 128, {16, 4}, 19};
  EXPECT_TRUE(is_memcache_key(id.key()));
  EXPECT_LE(id.key().size(), 80U);
  StripeId other = id;
  other.shape.parity = 3;
  EXPECT_NE(other.key(), id.key());
  other = id;
  other.index = 1;
  EXPECT_NE(other.key(), id.key());
  other = id;
  other.chunk.digest[31] ^= std::byte{1};
  EXPECT_NE(other.key(), id.key());
}

TEST(Stripe, EveryFlippedBitOfTheHeaderIsFound) {
  const StripeId id{counting_id(), 2, {4, 1}, 3};
  const Bytes payload = counting_bytes(id.payload_bytes());
  StripeHeader header = encode_stripe_header(id, payload);
  ASSERT_TRUE(check_stripe(id, header, payload));
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    header[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    EXPECT_FALSE(check_stripe(id, header, payload)) << bit;
    header[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
  }
}

TEST(Stripe, FlippedBitsAndCutsOfThePayloadAreFound) {
  const StripeId id{counting_id(), 1, {16, 0}, 3};
  Bytes payload = counting_bytes(id.payload_bytes());
  const StripeHeader header = encode_stripe_header(id, payload);
  for (size_t bit = 0; bit < payload.size() * 8; ++bit) {
    payload[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
    EXPECT_FALSE(check_stripe(id, header, payload)) << bit;
    payload[bit / 8] ^= std::byte{1} << static_cast<int>(bit % 8);
  }
  EXPECT_FALSE(check_stripe(id, header, ByteSpan(payload).first(payload.size() - 1)));
  EXPECT_FALSE(check_stripe(id, ByteSpan(header).first(71), payload));
  EXPECT_TRUE(check_stripe(id, header, payload));
}

TEST(Stripe, AnotherStripeIsRefused) {
  const StripeId id{counting_id(), 4, {4, 1}, 3};
  const Bytes payload = counting_bytes(id.payload_bytes());
  const StripeHeader header = encode_stripe_header(id, payload);
  StripeId wanted = id;
  wanted.index = 2;
  EXPECT_EQ(check_stripe(wanted, header, payload).error().code, ErrorCode::kCorrupt);
  wanted = id;
  wanted.shape = {4, 2};
  EXPECT_FALSE(check_stripe(wanted, header, payload));
  wanted = id;
  wanted.chunk.digest[0] = std::byte{9};
  EXPECT_FALSE(check_stripe(wanted, header, payload));
}

TEST(StripeSet, AssemblesFromAnyChoice) {
  const StripeShape shape{4, 2};
  const auto code = std::make_shared<const ReedSolomon>(4, 2);
  const Bytes chunk = counting_bytes(3 * kPageBytes);
  const EncodedChunk encoded(counting_id(), chunk, nullptr, shape, *code);
  for (unsigned mask = 0; mask < 64; ++mask) {
    StripeSet set(counting_id(), 3, shape, code);
    for (unsigned i = 0; i < 6; ++i) {
      if ((mask >> i & 1) == 0) continue;
      const ByteSpan payload = encoded.payload(i);
      std::copy(payload.begin(), payload.end(), set.room(i).begin());
      set.mark_present(i);
    }
    const bool enough = set.present_count() >= 4;
    const std::byte* const place = set.room(0).data();
    const Result<AlignedBuffer> assembled = std::move(set).assemble();
    ASSERT_EQ(assembled.has_value(), enough) << mask;
    if (!enough) continue;
    EXPECT_TRUE(std::ranges::equal(assembled->span(), chunk)) << mask;
    EXPECT_EQ(assembled->span().data(), place);  // never copied
  }
}

}  // namespace
}  // namespace thaw
