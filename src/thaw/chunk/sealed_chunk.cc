// SPDX-License-Identifier: Apache-2.0
#include "thaw/chunk/sealed_chunk.h"

#include <array>
#include <string_view>

#include "thaw/base/check.h"

namespace thaw {
namespace {

constexpr std::string_view kNameLabel = "thaw chunk v1";

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
  const size_t pages = ciphertext.size() / kPageBytes;
  CHECK(pages <= kChunkPagesMax);
  std::array<Digest, kChunkPagesMax> table;  // 32 KiB of stack at most
  for (size_t i = 0; i < pages; ++i) {
    table[i] = hasher.of(ciphertext.subspan(i * kPageBytes, kPageBytes));
  }
  const uint32_t page_count = static_cast<uint32_t>(pages);
  hasher.reset();
  hasher.update(as_bytes(kNameLabel));
  hasher.update(std::as_bytes(std::span(&page_count, 1)));
  hasher.update(std::as_bytes(std::span(table).first(pages)));
  return ChunkId{hasher.finish()};
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
  CHECK(!plaintext.empty() && plaintext.size() % kPageBytes == 0);
  CHECK(plaintext.size() <= kChunkBytesMax && ciphertext_out.size() == plaintext.size());
  const Digest digest = hasher_.of(plaintext);
  deriver_.derive(digest, static_cast<uint32_t>(plaintext.size()), key_out);
  cipher_.set_key(key_out);
  cipher_.apply(0, plaintext, ciphertext_out.data());
  return name_chunk(hasher_, ciphertext_out);
}

}  // namespace thaw
