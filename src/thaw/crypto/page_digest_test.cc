// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/page_digest.h"

#include <gtest/gtest.h>

#include <set>

#include "thaw/base/units.h"
#include "thaw/crypto/cipher.h"

namespace thaw {
namespace {

TEST(PageDigest, IsTheTagOfAes256GmacWithAZeroNonce) {
  // openssl mac -cipher AES-256-GCM -macopt hexkey:00..1f -macopt hexiv:000000000000000000000000
  //   -in page GMAC, where page is 4,096 bytes of 'a'
  Bytes key(kKeyBytes);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i);
  PageDigester digester(SecretBytes::copy_of(key));
  const Bytes page(kPageBytes, std::byte{'a'});
  EXPECT_EQ(to_hex(digester.of(page)), "c8e1c7592d1b46edd9127600cc36a432");
  EXPECT_EQ(digester.of(page), digester.of(page));
}

TEST(PageDigest, EachBitOfAPageAndTheKeyCount) {
  const SecretBytes secret = SecretBytes::copy_of(Bytes(32, std::byte{1}));
  PageDigester digester(derive_page_digest_key(secret));
  Bytes page(kPageBytes);
  std::set<PageDigest> seen{digester.of(page)};
  for (size_t bit = 0; bit < page.size() * 8; bit += 7) {
    page[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_TRUE(seen.insert(digester.of(page)).second) << bit;
    page[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  PageDigester other(derive_page_digest_key(SecretBytes::copy_of(Bytes(32, std::byte{2}))));
  EXPECT_FALSE(seen.contains(other.of(page)));
}

}  // namespace
}  // namespace thaw
