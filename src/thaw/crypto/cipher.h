// SPDX-License-Identifier: Apache-2.0
//
// The two ciphers of the formats: AES-256-CTR for chunks, whose integrity is their name, and
// AES-256-GCM for everything sealed under a random key (NIST SP 800-38A, 800-38D).
#pragma once

#include <array>
#include <memory>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/secret.h"

struct evp_cipher_ctx_st;

namespace thaw {

inline constexpr size_t kKeyBytes = 32;
inline constexpr size_t kNonceBytes = 12;
inline constexpr size_t kTagBytes = 16;

/// AES-256-CTR with an all-zero initial counter block and random access by offset. Encrypting and
/// decrypting are the same. One thread at a time; keep one per thread, the context is reused.
class CtrCipher {
 public:
  CtrCipher();
  ~CtrCipher();
  CtrCipher(CtrCipher&&) noexcept;
  CtrCipher& operator=(CtrCipher&&) noexcept;

  /// `key` has kKeyBytes. The key schedule stays in the context until the next key or wipe.
  void set_key(ByteSpan key);
  /// The bytes of the stream from `offset` (a multiple of 16); `out` has in.size() bytes and may be
  /// `in`.
  void apply(uint64_t offset, ByteSpan in, std::byte* out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;
};

/// nonce (kNonceBytes, random) || ciphertext || tag (kTagBytes). A key seals few messages here, so
/// random nonces do not collide.
Bytes seal(ByteSpan key, ByteSpan associated_data, ByteSpan plaintext);
/// The plaintext; kDenied if the key, the associated data or the bytes are not those of seal().
Result<SecretBytes> open_sealed(ByteSpan key, ByteSpan associated_data, ByteSpan sealed);

}  // namespace thaw
