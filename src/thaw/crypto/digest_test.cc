// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace thaw {
namespace {

// FIPS 180-4, examples of NIST.
TEST(Sha256, FipsVectors) {
  EXPECT_EQ(to_hex(sha256(as_bytes(""))),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(to_hex(sha256(as_bytes(std::string(1'000'000, 'a')))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PartsAreTheWhole) {
  const std::string text(1000, 'x');
  const Digest whole = sha256(as_bytes(text));
  Sha256 hasher;
  for (const size_t cut : {0u, 1u, 63u, 64u, 65u, 999u, 1000u}) {
    hasher.reset();
    hasher.update(as_bytes(text).first(cut));
    hasher.update(as_bytes(text).subspan(cut));
    EXPECT_EQ(hasher.finish(), whole) << cut;
  }
}

TEST(Sha256, AContextIsReusable) {
  Sha256 hasher;
  const Digest first = hasher.of(as_bytes("one"));
  EXPECT_NE(hasher.of(as_bytes("two")), first);
  EXPECT_EQ(hasher.of(as_bytes("one")), first);
}

}  // namespace
}  // namespace thaw
