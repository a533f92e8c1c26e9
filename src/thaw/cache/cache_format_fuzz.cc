// SPDX-License-Identifier: Apache-2.0
//
// A superblock or a slot header as a disk may give it back. Whatever is accepted is within bounds
// and says the same when it is written again; a header of random bytes is accepted only with its
// checksum, which the first byte of the input may ask for.
#include <xxhash.h>

#include <algorithm>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/cache/cache_format.h"

namespace thaw {
namespace {

void put_checksum(MutableByteSpan bytes, size_t at) {
  const uint64_t checksum = XXH3_64bits(bytes.data(), at);
  std::copy_n(std::as_bytes(std::span(&checksum, 1)).begin(), sizeof checksum,
              bytes.begin() + static_cast<ptrdiff_t>(at));
}

void try_superblock(ByteSpan input, bool with_checksum) {
  constexpr size_t kChecksumAt = 40;
  std::array<std::byte, kPageBytes> page{};
  std::copy_n(input.begin(), std::min(input.size(), page.size()), page.begin());
  if (with_checksum) put_checksum(page, kChecksumAt);
  static_cast<void>(decode_owner(page));
  const auto superblock = decode_superblock(page);
  if (!superblock) return;
  const CacheGeometry& geometry = superblock->geometry;
  CHECK(geometry.slots >= 1 && geometry.slots <= kCacheSlotsMax);
  CHECK(geometry.header_bytes() <= kSlotHeaderBytesMax);
  CHECK(geometry.file_bytes() / geometry.stride() >= geometry.slots);
  std::array<std::byte, kPageBytes> again{};
  encode_superblock(*superblock, again);
  CHECK(std::equal(again.begin(), again.begin() + kChecksumAt, page.begin()));
}

void try_slot(ByteSpan input, uint32_t slot_bytes, bool with_checksum) {
  SlotPlace place{{slot_bytes, 16}, {}, 3};
  Bytes bytes(place.geometry.header_bytes());
  std::copy_n(input.begin(), std::min(input.size(), bytes.size()), bytes.begin());
  constexpr size_t kFileIdAt = 16;
  constexpr size_t kPagesAt = 72;
  if (with_checksum) {
    std::copy_n(bytes.begin() + kFileIdAt, place.file_id.size(), place.file_id.begin());
    ByteReader reader(ByteSpan(bytes).subspan(kPagesAt));
    const uint64_t at = kSlotHeaderFixedBytes + uint64_t{reader.get<uint32_t>()} * kChecksumBytes;
    if (at + kChecksumBytes <= bytes.size()) put_checksum(bytes, at);
  }
  const auto header = decode_slot_header(place, bytes);
  if (!header) return;
  CHECK(header->pages >= 1 && header->pages <= place.geometry.pages_max());
  CHECK(header->checksums.size() == size_t{header->pages} * kChecksumBytes);
  CHECK(!is_empty_slot(bytes));
  // The pages that belong to it are not there: zeros have another checksum unless the input says
  // so.
  const Bytes zeros(size_t{header->pages} * kPageBytes);
  if (header->matches(zeros)) {
    Bytes again(bytes.size());
    encode_slot_header(place, header->id, header->sequence, zeros, again);
    const size_t used = kSlotHeaderFixedBytes + (header->pages + 1) * kChecksumBytes;
    CHECK(std::equal(again.begin(), again.begin() + static_cast<ptrdiff_t>(used), bytes.begin()));
  }
}

}  // namespace
}  // namespace thaw

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  if (size < 2) return 0;
  const ByteSpan input = std::as_bytes(std::span(data, size)).subspan(1);
  const bool with_checksum = (data[0] & 1) != 0;
  try_superblock(input, with_checksum);
  for (const uint32_t slot_bytes : {kChunkBytesMin, kChunkBytesDefault, kChunkBytesMax}) {
    try_slot(input, slot_bytes, with_checksum);
  }
  return 0;
}
