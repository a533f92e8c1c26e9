// SPDX-License-Identifier: Apache-2.0
//
// PageDigest: 16 bytes that tell whether a page changed. AES-256-GMAC under one key and one nonce,
// which makes it what a MAC must never be: a plain universal hash (GHASH under a secret point, plus
// a constant). That is sound here because the digests never leave the seal (image/page_digests.h):
// nobody who chooses contents sees a digest or learns more than "changed" or "not". For two pages
// chosen without the key, the polynomial of their difference has degree 257 at most, so they
// collide for at most 257 of 2^128 keys: 2^-120 a pair (McGrew and Viega 2004, section 5). It costs
// a quarter of SHA-256.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "thaw/base/bytes.h"
#include "thaw/crypto/secret.h"

struct evp_cipher_ctx_st;

namespace thaw {

inline constexpr size_t kPageDigestBytes = 16;
using PageDigest = std::array<std::byte, kPageDigestBytes>;

/// The key of a domain's page digests: HMAC-SHA256(domain_secret, "thaw page digest v1").
SecretBytes derive_page_digest_key(const SecretBytes& domain_secret);

/// One thread at a time; keep one per thread.
class PageDigester {
 public:
  /// `key` as of derive_page_digest_key().
  explicit PageDigester(const SecretBytes& key);
  ~PageDigester();
  PageDigester(PageDigester&&) noexcept;
  PageDigester& operator=(PageDigester&&) noexcept;

  PageDigest of(ByteSpan page);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

}  // namespace thaw
