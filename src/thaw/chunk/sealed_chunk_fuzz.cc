// SPDX-License-Identifier: Apache-2.0
//
// Bytes from an untrusted store, taken for a chunk: never accepted under a name that is not theirs,
// whatever their size; accepted under their own.
#include <algorithm>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  const ByteSpan input = std::as_bytes(std::span(data, size));
  // The first 33 bytes choose a name and a size in pages; the rest is repeated to that size.
  if (input.size() < 40) return 0;
  ChunkId id;
  std::copy_n(input.begin(), kDigestBytes, id.digest.begin());
  Sha256 hasher;
  CHECK(!verify_chunk(hasher, id, input));
  const size_t pages = 1 + std::to_integer<size_t>(input[32]) % 8;
  Bytes ciphertext(pages * kPageBytes);
  for (size_t i = 0; i < ciphertext.size(); ++i)
    ciphertext[i] = input[33 + i % (input.size() - 33)];
  CHECK(!verify_chunk(hasher, id, ciphertext));
  const ChunkId own = name_chunk(hasher, ciphertext);
  CHECK(verify_chunk(hasher, own, ciphertext));
  ciphertext[std::to_integer<size_t>(input[34]) * 16] ^= std::byte{1};
  CHECK(!verify_chunk(hasher, own, ciphertext));
  return 0;
}
