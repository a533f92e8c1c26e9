// SPDX-License-Identifier: Apache-2.0
//
// From a deduplication domain's secret to the key of one chunk (chunk/FORMAT.md):
//   salt = HMAC-SHA256(domain_secret, "thaw chunk salt v1" || root_id:u64)
//   K    = HMAC-SHA256(salt, SHA-256(plaintext) || len(plaintext):u32)
#pragma once

#include <memory>

#include "thaw/base/bytes.h"
#include "thaw/crypto/digest.h"
#include "thaw/crypto/secret.h"

struct evp_mac_ctx_st;

namespace thaw {

/// HMAC-SHA256 under one key, reusable. One thread at a time.
class Hmac {
 public:
  explicit Hmac(ByteSpan key);
  ~Hmac();
  Hmac(Hmac&&) noexcept;
  Hmac& operator=(Hmac&&) noexcept;

  Digest of(ByteSpan message);

 private:
  struct Free {
    void operator()(evp_mac_ctx_st* context) const;
  };
  std::unique_ptr<evp_mac_ctx_st, Free> context_;
};

/// The salt of a domain under a root. kDigestBytes.
SecretBytes derive_chunk_salt(const SecretBytes& domain_secret, uint64_t root_id);

/// Derives chunk keys under one salt. One thread at a time.
class ChunkKeyDeriver {
 public:
  explicit ChunkKeyDeriver(const SecretBytes& salt) : hmac_(salt.span()) {}

  /// Writes kKeyBytes to `key_out`.
  void derive(const Digest& plaintext_digest, uint32_t plaintext_bytes, MutableByteSpan key_out);

 private:
  Hmac hmac_;
};

}  // namespace thaw
