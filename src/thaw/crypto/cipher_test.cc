// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/cipher.h"

#include <gtest/gtest.h>

#include <string>

namespace thaw {
namespace {

Bytes ctr(std::string_view key_hex, uint64_t offset, ByteSpan in) {
  CtrCipher cipher;
  cipher.set_key(*from_hex(key_hex));
  Bytes out(in.size());
  cipher.apply(offset, in, out.data());
  return out;
}

// Key and plaintext of NIST SP 800-38A, appendix F. Its CTR vectors begin at a counter above 2^64,
// which a stream that begins at zero does not reach, so the ciphertexts come from
// `openssl enc -aes-256-ctr -iv <block number>`.
constexpr std::string_view kNistKey =
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
constexpr std::string_view kNistPlaintext =
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

TEST(CtrCipher, KnownAnswers) {
  // NIST known-answer test: AES-256 of the zero block under the zero key.
  EXPECT_EQ(to_hex(ctr(std::string(64, '0'), 0, Bytes(16))), "dc95c078a2408989ad48a21492842087");
  const Bytes plaintext = *from_hex(kNistPlaintext);
  EXPECT_EQ(to_hex(ctr(kNistKey, 0, plaintext)),
            "8ea94863ba8fe940fe7032d13083bf7e3f38940a1579b3875e60c37ceb91dfb5"
            "27c63f97d00036c49c1dfb9161c39afcbe9218a879799e723852f46d728e8f3e");
  EXPECT_EQ(to_hex(ctr(kNistKey, 4096, plaintext)),
            "688c4b602241576999c615fba7385edc7be69573cd2875626c5cc9cbe62e9014"
            "561dd7564a74725716fc8b6007a45a54b8ce1d53db9ae0024636690b4972aacf");
  EXPECT_EQ(to_hex(ctr(kNistKey, 0xffffffffffu * uint64_t{16}, plaintext)),  // carries far
            "f2c7b2e2a471deb68a4caca32d5702464d8adbf4479d801eb5f6d2991a0bf699"
            "cee5b5aaf83965e981dbaa8d65c41a505c3d62c50fda4cb87ffbcda0897d84c4");
}

TEST(CtrCipher, AnyPartEqualsThatPartOfTheWhole) {
  Bytes plaintext(4 * 4096);
  for (size_t i = 0; i < plaintext.size(); ++i)
    plaintext[i] = static_cast<std::byte>(i * 7 + i / 256);
  const Bytes whole = ctr(kNistKey, 0, plaintext);
  CtrCipher cipher;
  cipher.set_key(*from_hex(kNistKey));
  for (const size_t offset : {size_t{12288}, size_t{0}, size_t{16}, size_t{4096}, size_t{4112}}) {
    for (const size_t count : {size_t{1}, size_t{16}, size_t{4096}}) {
      if (offset + count > plaintext.size()) continue;
      Bytes part(count);
      cipher.apply(offset, ByteSpan(whole).subspan(offset, count), part.data());
      EXPECT_EQ(part, Bytes(plaintext.begin() + static_cast<ptrdiff_t>(offset),
                            plaintext.begin() + static_cast<ptrdiff_t>(offset + count)))
          << offset << " + " << count;
    }
  }
}

TEST(CtrCipher, WorksInPlaceAndTakesANewKey) {
  Bytes bytes = *from_hex(kNistPlaintext);
  const Bytes plaintext = bytes;
  CtrCipher cipher;
  cipher.set_key(Bytes(kKeyBytes));
  cipher.set_key(*from_hex(kNistKey));
  cipher.apply(0, bytes, bytes.data());
  EXPECT_EQ(bytes, ctr(kNistKey, 0, plaintext));
  cipher.apply(0, bytes, bytes.data());
  EXPECT_EQ(bytes, plaintext);
}

TEST(Seal, OpensThePublishedVector) {
  // McGrew and Viega, The Galois/Counter Mode of Operation, test case 16.
  const Bytes key = *from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const Bytes associated = *from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const Bytes sealed = *from_hex(
      "cafebabefacedbaddecaf888"
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b");
  const Result<SecretBytes> opened = open_sealed(key, associated, sealed);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(to_hex(opened->span()),
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
}

TEST(Seal, RoundTrips) {
  const SecretBytes key = SecretBytes::random(kKeyBytes);
  for (const size_t size : {0u, 1u, 32u, 100'000u}) {
    const SecretBytes plaintext = SecretBytes::random(size);
    const Bytes sealed = seal(key.span(), as_bytes("context"), plaintext.span());
    EXPECT_EQ(sealed.size(), kNonceBytes + size + kTagBytes);
    const Result<SecretBytes> opened = open_sealed(key.span(), as_bytes("context"), sealed);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(opened->equals(plaintext.span()));
  }
}

TEST(Seal, NoncesDiffer) {
  const Bytes key(kKeyBytes);
  EXPECT_NE(seal(key, {}, as_bytes("same")), seal(key, {}, as_bytes("same")));
}

TEST(Seal, AnyChangeIsDenied) {
  const SecretBytes key = SecretBytes::random(kKeyBytes);
  const Bytes sealed = seal(key.span(), as_bytes("context"), as_bytes("plaintext"));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes changed = sealed;
    changed[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const Result<SecretBytes> opened = open_sealed(key.span(), as_bytes("context"), changed);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().code, ErrorCode::kDenied);
  }
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(open_sealed(key.span(), as_bytes("context"), ByteSpan(sealed).first(size)))
        << size;
  }
  EXPECT_FALSE(open_sealed(key.span(), as_bytes("contexT"), sealed));
  EXPECT_FALSE(open_sealed(key.span(), {}, sealed));
  EXPECT_FALSE(open_sealed(SecretBytes::random(kKeyBytes).span(), as_bytes("context"), sealed));
}

}  // namespace
}  // namespace thaw
