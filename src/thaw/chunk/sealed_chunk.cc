// SPDX-License-Identifier: Apache-2.0
#include "thaw/chunk/sealed_chunk.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/crypto/digest_many.h"

namespace thaw {
namespace {

constexpr std::string_view kNameLabel = "thaw chunk v1";

// Pages that are encrypted, or hashed, together: as many as are hashed side by side, and few enough
// that the cipher's output is still in the first cache when it is hashed.
constexpr size_t kPagesTogether = 4;

/// The digest table of a ciphertext in the making. 32 KiB, on the stack.
class DigestTable {
 public:
  /// Appends the digests of whole pages; kChunkPagesMax in all at most.
  void append(ByteSpan pages) {
    std::array<ByteSpan, kPagesTogether> group;
    while (!pages.empty()) {
      const size_t count = std::min(kPagesTogether, pages.size() / kPageBytes);
      for (size_t i = 0; i < count; ++i) group[i] = pages.subspan(i * kPageBytes, kPageBytes);
      sha256_many(std::span(group).first(count), std::span(digests_).subspan(count_, count));
      count_ += static_cast<uint32_t>(count);
      pages = pages.subspan(count * kPageBytes);
    }
  }
  ChunkId name(Sha256& hasher) const {
    hasher.reset();
    hasher.update(as_bytes(kNameLabel));
    hasher.update(std::as_bytes(std::span(&count_, 1)));
    hasher.update(std::as_bytes(std::span(digests_).first(count_)));
    return ChunkId{hasher.finish()};
  }

 private:
  std::array<Digest, kChunkPagesMax> digests_;
  uint32_t count_ = 0;
};

}  // namespace

Result<void> validate_chunk_bytes(uint64_t chunk_bytes) {
  if (chunk_bytes < kChunkBytesMin || chunk_bytes > kChunkBytesMax ||
      !is_power_of_two(chunk_bytes)) {
    return fail(ErrorCode::kInvalid,
                "chunk size " + std::to_string(chunk_bytes) +
                    " is not a power of two from 16384 (16 KiB) to 4194304 (4 MiB)");
  }
  return {};
}

ChunkId name_chunk(Sha256& hasher, ByteSpan ciphertext) {
  CHECK(!ciphertext.empty() && ciphertext.size() % kPageBytes == 0);
  CHECK(ciphertext.size() / kPageBytes <= kChunkPagesMax);
  DigestTable table;
  table.append(ciphertext);
  return table.name(hasher);
}

Result<void> verify_chunk(Sha256& hasher, const ChunkId& id, ByteSpan ciphertext) {
  if (ciphertext.empty() || ciphertext.size() % kPageBytes != 0 ||
      ciphertext.size() > kChunkBytesMax) {
    return fail(ErrorCode::kCorrupt, "chunk " + id.hex() + " has " +
                                         std::to_string(ciphertext.size()) +
                                         " bytes, which is no size of a chunk");
  }
  if (name_chunk(hasher, ciphertext) != id) {
    return fail(ErrorCode::kCorrupt,
                "chunk " + id.hex() + " does not have the content of its name");
  }
  return {};
}

ChunkId ChunkSealer::seal(ByteSpan plaintext, MutableByteSpan ciphertext_out,
                          MutableByteSpan key_out) {
  const SealRequest request{plaintext, ciphertext_out, key_out};
  ChunkId id;
  seal_many({&request, 1}, {&id, 1});
  return id;
}

void ChunkSealer::seal_many(std::span<const SealRequest> requests, std::span<ChunkId> ids_out) {
  CHECK(requests.size() == ids_out.size());
  std::vector<ByteSpan> plaintexts;
  for (const SealRequest& request : requests) plaintexts.push_back(request.plaintext);
  std::vector<Digest> digests(requests.size());
  sha256_many(plaintexts, digests);
  for (size_t i = 0; i < requests.size(); ++i) ids_out[i] = encrypt(requests[i], digests[i]);
}

ChunkId ChunkSealer::encrypt(const SealRequest& request, const Digest& plaintext_digest) {
  const auto& [plaintext, ciphertext, key] = request;
  CHECK(!plaintext.empty() && plaintext.size() % kPageBytes == 0);
  CHECK(plaintext.size() <= kChunkBytesMax && ciphertext.size() == plaintext.size());
  deriver_.derive(plaintext_digest, static_cast<uint32_t>(plaintext.size()), key);
  cipher_.set_key(key);
  DigestTable table;
  constexpr size_t kStep = kPagesTogether * kPageBytes;
  for (size_t at = 0; at < plaintext.size(); at += kStep) {
    const size_t bytes = std::min(kStep, plaintext.size() - at);
    cipher_.apply(at, plaintext.subspan(at, bytes), ciphertext.data() + at);
    table.append(ciphertext.subspan(at, bytes));
  }
  return table.name(hasher_);
}

}  // namespace thaw
