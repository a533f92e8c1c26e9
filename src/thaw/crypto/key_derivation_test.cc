// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/key_derivation.h"

#include <gtest/gtest.h>

#include "thaw/crypto/cipher.h"

namespace thaw {
namespace {

std::string hmac_hex(std::string_view key_hex, ByteSpan message) {
  const Bytes key = *from_hex(key_hex);
  return to_hex(Hmac(key).of(message));
}

// RFC 4231, test cases 1, 2, 3 and 6 (a key longer than the block).
TEST(Hmac, Rfc4231) {
  EXPECT_EQ(hmac_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", as_bytes("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hmac_hex(to_hex(as_bytes("Jefe")), as_bytes("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmac_hex(std::string(40, 'a'), Bytes(50, std::byte{0xdd})),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(hmac_hex(std::string(262, 'a'),
                     as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, IsReusable) {
  Hmac hmac(as_bytes("Jefe"));
  const Digest first = hmac.of(as_bytes("what do ya want for nothing?"));
  EXPECT_NE(hmac.of(as_bytes("nothing")), first);
  EXPECT_EQ(hmac.of(as_bytes("what do ya want for nothing?")), first);
}

// The construction spelled out again from its definition (chunk/FORMAT.md).
TEST(ChunkKey, FollowsTheFormat) {
  const SecretBytes domain = SecretBytes::copy_of(as_bytes("0123456789abcdef0123456789abcdef"));
  Bytes salt_message;
  ByteWriter(salt_message).put_bytes(as_bytes("thaw chunk salt v1"));
  ByteWriter(salt_message).put(uint64_t{0x0102030405060708});
  const Digest salt = Hmac(domain.span()).of(salt_message);
  const SecretBytes derived_salt = derive_chunk_salt(domain, 0x0102030405060708);
  EXPECT_TRUE(derived_salt.equals(salt));

  const Digest plaintext = sha256(as_bytes("plaintext"));
  Bytes message(plaintext.begin(), plaintext.end());
  ByteWriter(message).put(uint32_t{8192});
  std::array<std::byte, kKeyBytes> key{};
  ChunkKeyDeriver(derived_salt).derive(plaintext, 8192, key);
  EXPECT_EQ(to_hex(key), to_hex(Hmac(salt).of(message)));
}

TEST(ChunkKey, DependsOnDomainRootContentAndLength) {
  const auto key = [](std::string_view domain, uint64_t root, std::string_view content,
                      uint32_t bytes) {
    const SecretBytes salt = derive_chunk_salt(SecretBytes::copy_of(as_bytes(domain)), root);
    std::array<std::byte, kKeyBytes> out{};
    ChunkKeyDeriver(salt).derive(sha256(as_bytes(content)), bytes, out);
    return to_hex(out);
  };
  const std::string base = key("a", 1, "x", 4096);
  EXPECT_EQ(key("a", 1, "x", 4096), base);
  EXPECT_NE(key("b", 1, "x", 4096), base);
  EXPECT_NE(key("a", 2, "x", 4096), base);
  EXPECT_NE(key("a", 1, "y", 4096), base);
  EXPECT_NE(key("a", 1, "x", 8192), base);
}

}  // namespace
}  // namespace thaw
