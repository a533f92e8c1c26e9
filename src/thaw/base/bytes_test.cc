// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/bytes.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(Bytes, IntegersAreLittleEndian) {
  Bytes out;
  ByteWriter writer(out);
  writer.put<uint32_t>(0x04030201);
  writer.put<uint16_t>(0x0605);
  EXPECT_EQ(to_hex(out), "010203040506");
}

TEST(Bytes, ReaderStopsAtTheEndAndStaysStopped) {
  const Bytes in = *from_hex("0102030405");
  ByteReader reader(in);
  EXPECT_EQ(reader.get<uint32_t>(), 0x04030201u);
  EXPECT_EQ(reader.get<uint16_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.get<uint8_t>(), 0u);
  EXPECT_FALSE(reader.at_end());
}

TEST(Bytes, ReaderRefusesALengthBeyondTheInput) {
  const Bytes in = *from_hex("ffffffff00");
  ByteReader reader(in);
  EXPECT_TRUE(reader.get_text<uint32_t>().empty());
  EXPECT_FALSE(reader.ok());
  ByteReader whole(in);
  EXPECT_TRUE(whole.get_bytes(UINT64_MAX).empty());
  EXPECT_FALSE(whole.ok());
}

TEST(Bytes, HexRefusesOddAndForeignDigits) {
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
  EXPECT_EQ(to_hex(*from_hex("00FFab")), "00ffab");
}

TEST(Bytes, HumanSizes) {
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(uint64_t{3} << 30), "3.0 GiB");
}

TEST(Bytes, Utf8) {
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("\xc3\xa4\xe2\x82\xac\xf0\x9f\xa7\x8a"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));          // overlong '/'
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // cut
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
}

}  // namespace
}  // namespace thaw
