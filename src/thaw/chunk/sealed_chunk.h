// SPDX-License-Identifier: Apache-2.0
//
// A chunk: whole pages of plaintext, encrypted under a key that follows from the content, named by
// its ciphertext. Anybody can verify one without a key, page by page once the digest table is
// known. The bytes are specified in FORMAT.md beside this file.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/key_derivation.h"

namespace thaw {

/// Bounds of a chunk's capacity (a power of two), and the pages that one chunk may hold (1 to the
/// capacity: its zero pages and its tail are not stored).
inline constexpr uint32_t kChunkBytesMin = 16 * 1024;
inline constexpr uint32_t kChunkBytesMax = 4 * 1024 * 1024;
inline constexpr uint32_t kChunkBytesDefault = 512 * 1024;
inline constexpr uint32_t kChunkPagesMax = kChunkBytesMax / kPageBytes;
static_assert(kChunkBytesMin % kPageBytes == 0 && is_power_of_two(kChunkBytesMin));
static_assert(is_power_of_two(kChunkBytesMax) && is_power_of_two(kChunkBytesDefault));

/// The chunk size as a user gives it; kInvalid outside the bounds above.
Result<void> validate_chunk_bytes(uint64_t chunk_bytes);

/// The name of a ciphertext of whole pages (1 to kChunkPagesMax of them).
ChunkId name_chunk(Sha256& hasher, ByteSpan ciphertext);

/// kCorrupt unless `ciphertext` is the chunk `id`.
Result<void> verify_chunk(Sha256& hasher, const ChunkId& id, ByteSpan ciphertext);

/// One chunk to be sealed. Borrows everything.
struct SealRequest {
  ByteSpan plaintext;              // whole pages
  MutableByteSpan ciphertext_out;  // as many bytes, not overlapping
  MutableByteSpan key_out;         // kKeyBytes
};

/// Encrypts chunks under one domain and root. One thread at a time; keep one per thread.
class ChunkSealer {
 public:
  /// `salt` as of derive_chunk_salt().
  explicit ChunkSealer(const SecretBytes& salt) : deriver_(salt) {}

  /// Encrypts `plaintext` (whole pages) into `ciphertext_out` (as many bytes, not overlapping),
  /// writes the chunk's key (kKeyBytes) to `key_out` and returns its name. Two passes of SHA-256
  /// and one of AES-256-CTR over the bytes.
  ChunkId seal(ByteSpan plaintext, MutableByteSpan ciphertext_out, MutableByteSpan key_out);

  /// The same for several chunks, `ids_out[i]` for `requests[i]`. The digests of their plaintexts
  /// are made side by side (digest_many.h), which makes two chunks of like size a fifth cheaper
  /// than one after the other.
  void seal_many(std::span<const SealRequest> requests, std::span<ChunkId> ids_out);

 private:
  ChunkId encrypt(const SealRequest& request, const Digest& plaintext_digest);

  Sha256 hasher_;
  CtrCipher cipher_;
  ChunkKeyDeriver deriver_;
};

/// Consecutive pages of a verified chunk's ciphertext: all of them, or some. Borrows.
struct SealedPages {
  // NOLINTNEXTLINE(google-explicit-constructor): a whole chunk is what most callers have.
  SealedPages(ByteSpan pages, uint32_t slot = 0) : bytes(pages), first_slot(slot) {}

  bool has(uint32_t slot) const {
    return slot >= first_slot && slot - first_slot < bytes.size() / kPageBytes;
  }

  ByteSpan bytes;
  uint32_t first_slot = 0;
};

/// Decrypts `count` pages from `slot` of their chunk, which must be among `sealed`, into `out`,
/// under the key that `cipher` holds.
inline void decrypt_pages(CtrCipher& cipher, SealedPages sealed, uint32_t slot, uint32_t count,
                          std::byte* out) {
  const uint64_t offset = uint64_t{slot - sealed.first_slot} * kPageBytes;
  cipher.apply(uint64_t{slot} * kPageBytes,
               sealed.bytes.subspan(offset, size_t{count} * kPageBytes), out);
}

}  // namespace thaw
