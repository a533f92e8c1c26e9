// SPDX-License-Identifier: Apache-2.0
#include "thaw/chunk/sealed_chunk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace thaw {
namespace {

Bytes letters(size_t pages) {
  Bytes plain;
  for (size_t i = 0; i < pages; ++i) {
    plain.insert(plain.end(), kPageBytes, static_cast<std::byte>(0x61 + i % 26));
  }
  return plain;
}

struct Sealed {
  ChunkId id;
  Bytes ciphertext;
  Bytes key = Bytes(kKeyBytes);
};

Sealed seal_under(const SecretBytes& secret, uint64_t root, const Bytes& plain) {
  ChunkSealer sealer(derive_chunk_salt(secret, root));
  Sealed sealed;
  sealed.ciphertext.resize(plain.size());
  sealed.id = sealer.seal(plain, sealed.ciphertext, sealed.key);
  return sealed;
}

SecretBytes test_secret() { return SecretBytes::copy_of(sha256(as_bytes("secret"))); }

// The vectors come from the openssl command line (tools/make_chunk_vectors.sh).
TEST(SealedChunk, AgreesWithTheIndependentVectors) {
  std::ifstream file(THAW_CHUNK_TESTDATA "/vectors.txt");
  ASSERT_TRUE(file.is_open());
  int vectors = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string secret, root, key, name, digest;
    size_t pages = 0;
    fields >> secret >> root >> pages >> key >> name >> digest;
    ASSERT_FALSE(fields.fail()) << line;
    const Sealed sealed =
        seal_under(SecretBytes::copy_of(*from_hex(secret)), std::stoull(root), letters(pages));
    EXPECT_EQ(to_hex(sealed.key), key);
    EXPECT_EQ(sealed.id.hex(), name);
    EXPECT_EQ(to_hex(sha256(sealed.ciphertext)), digest);
    ++vectors;
  }
  EXPECT_EQ(vectors, 5);
}

TEST(SealedChunk, EveryPageDecryptsAlone) {
  const Bytes plain = letters(7);
  const Sealed sealed = seal_under(test_secret(), 1, plain);
  CtrCipher cipher;
  cipher.set_key(sealed.key);
  for (uint32_t slot = 0; slot < 7; ++slot) {
    Bytes page(kPageBytes);
    decrypt_pages(cipher, ByteSpan(sealed.ciphertext), slot, 1, page.data());
    EXPECT_TRUE(std::equal(page.begin(), page.end(), plain.begin() + slot * kPageBytes)) << slot;
    // The same from the chunk's pages from 2 on, if it is one of them.
    const SealedPages part(ByteSpan(sealed.ciphertext).subspan(2 * kPageBytes, 3 * kPageBytes), 2);
    ASSERT_EQ(part.has(slot), slot >= 2 && slot < 5);
    if (!part.has(slot)) continue;
    Bytes again(kPageBytes);
    decrypt_pages(cipher, part, slot, 1, again.data());
    EXPECT_EQ(again, page) << slot;
  }
}

TEST(SealedChunk, SecretAndRootChangeTheName) {
  const Bytes plain = letters(4);
  const ChunkId name = seal_under(test_secret(), 1, plain).id;
  EXPECT_EQ(seal_under(test_secret(), 1, plain).id, name);
  EXPECT_NE(seal_under(test_secret(), 2, plain).id, name);
  EXPECT_NE(seal_under(SecretBytes::copy_of(sha256(as_bytes("other"))), 1, plain).id, name);
}

TEST(SealedChunk, AnyFlippedBitIsFound) {
  const Sealed sealed = seal_under(test_secret(), 1, letters(2));
  Sha256 hasher;
  ASSERT_TRUE(verify_chunk(hasher, sealed.id, sealed.ciphertext));
  for (size_t at = 0; at < sealed.ciphertext.size(); at += 37) {
    Bytes bad = sealed.ciphertext;
    bad[at] ^= std::byte{0x10};
    const Result<void> verdict = verify_chunk(hasher, sealed.id, bad);
    ASSERT_FALSE(verdict) << at;
    EXPECT_EQ(verdict.error().code, ErrorCode::kCorrupt);
  }
}

TEST(SealedChunk, AnotherValidChunkIsRefused) {
  const Sealed one = seal_under(test_secret(), 1, letters(2));
  Bytes other_plain = letters(2);
  std::reverse(other_plain.begin(), other_plain.end());
  const Sealed other = seal_under(test_secret(), 1, other_plain);
  Sha256 hasher;
  EXPECT_FALSE(verify_chunk(hasher, one.id, other.ciphertext));
}

TEST(SealedChunk, SizesThatNoChunkHasAreRefused) {
  const Sealed sealed = seal_under(test_secret(), 1, letters(2));
  Sha256 hasher;
  const ByteSpan whole = sealed.ciphertext;
  EXPECT_FALSE(verify_chunk(hasher, sealed.id, {}));
  EXPECT_FALSE(verify_chunk(hasher, sealed.id, whole.first(kPageBytes)));
  EXPECT_FALSE(verify_chunk(hasher, sealed.id, whole.first(kPageBytes + 1)));
  EXPECT_FALSE(verify_chunk(hasher, sealed.id, Bytes(kChunkBytesMax + kPageBytes)));
}

TEST(SealedChunk, ChunkSizesOfUsers) {
  EXPECT_TRUE(validate_chunk_bytes(kChunkBytesMin));
  EXPECT_TRUE(validate_chunk_bytes(kChunkBytesDefault));
  EXPECT_TRUE(validate_chunk_bytes(kChunkBytesMax));
  for (const uint64_t wrong :
       {uint64_t{0}, uint64_t{8192}, uint64_t{500'000}, 2 * kChunkBytesMax + 0ul}) {
    EXPECT_FALSE(validate_chunk_bytes(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace thaw
