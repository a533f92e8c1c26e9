// SPDX-License-Identifier: Apache-2.0
//
// Any k of the stripes give the data back: every choice for small codes, random ones for large, all
// with last data stripes of every shortness.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

#include "thaw/zone/reed_solomon.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

struct Coded {
  std::vector<Bytes> stripes;  // data, then parity
  unsigned data;
  unsigned parity;
};

Coded make_coded(unsigned data, unsigned parity, size_t bytes, size_t tail, uint64_t seed) {
  Coded coded{{}, data, parity};
  std::mt19937_64 random(seed);
  for (unsigned i = 0; i < data + parity; ++i) {
    coded.stripes.emplace_back(i + 1 == data ? bytes - tail : bytes);
    for (std::byte& b : coded.stripes.back()) b = static_cast<std::byte>(random());
  }
  std::vector<ByteSpan> sources(coded.stripes.begin(), coded.stripes.begin() + data);
  std::vector<MutableByteSpan> outputs(coded.stripes.begin() + data, coded.stripes.end());
  ReedSolomon(data, parity).encode(sources, outputs);
  return coded;
}

/// True if the data stripes that `present` lacks come out as they were.
bool recovers(const Coded& coded, const std::vector<unsigned>& present) {
  std::vector<ReedSolomon::Piece> pieces;
  for (const unsigned i : present) pieces.push_back({i, coded.stripes[i]});
  std::vector<Bytes> room(coded.data);
  std::vector<ReedSolomon::Missing> missing;
  for (unsigned i = 0; i < coded.data; ++i) {
    if (std::find(present.begin(), present.end(), i) != present.end()) continue;
    room[i].resize(coded.stripes[i].size());
    missing.push_back({i, room[i]});
  }
  ReedSolomon(coded.data, coded.parity).reconstruct(pieces, missing);
  return std::all_of(missing.begin(), missing.end(), [&](const auto& one) {
    return std::ranges::equal(one.out, coded.stripes[one.index]);
  });
}

TEST(ReedSolomon, EveryErasureOfSmallCodes) {
  unsigned patterns = 0;
  for (unsigned data = 1; data <= 6; ++data) {
    for (unsigned parity = 0; parity <= kParityStripesMax; ++parity) {
      const size_t tail = std::min<size_t>((data * 37U + parity) % 200, 150);
      const Coded coded = make_coded(data, parity, 320, tail, data * 10 + parity);
      for (uint32_t mask = 0; mask < 1U << (data + parity); ++mask) {
        if (static_cast<unsigned>(std::popcount(mask)) != data) continue;
        std::vector<unsigned> present;
        for (unsigned i = 0; i < data + parity; ++i) {
          if ((mask >> i & 1) != 0) present.push_back(i);
        }
        ASSERT_TRUE(recovers(coded, present)) << data << "+" << parity << " mask " << mask;
        ++patterns;
      }
    }
  }
  EXPECT_GT(patterns, 700U);
}

RC_GTEST_PROP(ReedSolomonProperty, AnyKOfLargeCodes, ()) {
  const unsigned data = *rc::gen::inRange(1U, kDataStripesMax + 1);
  const unsigned parity = *rc::gen::inRange(0U, kParityStripesMax + 1);
  const size_t bytes = *rc::gen::inRange<size_t>(1, 2000);
  const size_t tail = *rc::gen::inRange<size_t>(0, std::min<size_t>(bytes, kStripeTailMax + 1));
  const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  const Coded coded = make_coded(data, parity, bytes, tail, seed);
  std::vector<unsigned> order(data + parity);
  for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(seed);
  std::shuffle(order.begin(), order.end(), random);
  order.resize(data);
  RC_ASSERT(recovers(coded, order));
}

TEST(ReedSolomon, OneParityStripeIsTheXor) {
  const Coded coded = make_coded(3, 1, 200, 90, 1);
  for (size_t at = 0; at < 200; ++at) {
    std::byte sum{0};
    for (unsigned i = 0; i < 3; ++i) {
      if (at < coded.stripes[i].size()) sum ^= coded.stripes[i][at];
    }
    ASSERT_EQ(coded.stripes[3][at], sum);
  }
}

TEST(ReedSolomon, MoreAreACauchyMatrix) {
  // An independent product: multiplication in GF(2^8) with the polynomial 0x11d, bit by bit.
  const auto multiply = [](unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1, a = (a << 1) ^ ((a & 0x80) != 0 ? 0x11d : 0)) {
      if ((b & 1) != 0) product ^= a;
    }
    return product;
  };
  const auto inverse = [&](unsigned a) {
    for (unsigned b = 1; b < 256; ++b) {
      if (multiply(a, b) == 1) return b;
    }
    return 0U;
  };
  const Coded coded = make_coded(5, 3, 64, 0, 2);
  for (unsigned p = 0; p < 3; ++p) {
    for (size_t at = 0; at < 64; ++at) {
      unsigned sum = 0;
      for (unsigned d = 0; d < 5; ++d) {
        sum ^= multiply(inverse((5 + p) ^ d), std::to_integer<unsigned>(coded.stripes[d][at]));
      }
      ASSERT_EQ(std::to_integer<unsigned>(coded.stripes[5 + p][at]), sum);
    }
  }
}

}  // namespace
}  // namespace thaw
