// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a disk cache file, version 1, as FORMAT.md beside this file specifies them. What is
// decoded here has lain on a disk through crashes and bit rot: nothing is believed before its
// checksum was compared.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/chunk/chunk_id.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

inline constexpr uint32_t kCacheVersion = 1;
inline constexpr uint64_t kSuperblockOffset = 0;
inline constexpr uint64_t kOwnerOffset = kPageBytes;
inline constexpr uint64_t kSlotsOffset = 2 * kPageBytes;
inline constexpr uint32_t kCacheSlotsMax = kPolicySlotsMax;

/// Chosen at random whenever a file is made, so that no slot of an older file is taken for one of
/// this.
using CacheFileId = std::array<std::byte, 16>;

/// Where things are.
struct CacheGeometry {
  uint32_t slot_bytes = 0;  // of ciphertext
  uint32_t slots = 0;

  constexpr uint32_t pages_max() const { return slot_bytes / kPageBytes; }
  /// Of a slot's header: whole pages.
  constexpr uint32_t header_bytes() const;
  constexpr uint64_t stride() const { return uint64_t{header_bytes()} + slot_bytes; }
  constexpr uint64_t slot_offset(uint32_t slot) const { return kSlotsOffset + slot * stride(); }
  constexpr uint64_t file_bytes() const { return slot_offset(slots); }
  friend bool operator==(const CacheGeometry&, const CacheGeometry&) = default;
};

/// The geometry with as many slots as fit into a file of `bytes_max`; kInvalid if slot_bytes is no
/// power of two from 16 KiB to 4 MiB or not even one slot fits.
Result<CacheGeometry> geometry_for(uint64_t bytes_max, uint32_t slot_bytes);

struct Superblock {
  CacheGeometry geometry;
  CacheFileId file_id{};
  bool ready = false;  // false: the file is being made or changed its size
};

enum class SuperblockFault { kForeign, kOtherVersion, kDamaged };

void encode_superblock(const Superblock& superblock, std::span<std::byte, kPageBytes> page);
/// The fault says what the page is instead: not one of ours, of another version, or damaged.
tl::expected<Superblock, SuperblockFault> decode_superblock(
    std::span<const std::byte, kPageBytes> page);

/// The process that has the file open, 0 for none: for messages only, the lock is flock's.
void encode_owner(uint32_t pid, std::span<std::byte, kPageBytes> page);
/// 0 if the page is damaged.
uint32_t decode_owner(std::span<const std::byte, kPageBytes> page);

/// A slot's header. The checksums stay in the bytes that it was decoded from, which must outlive
/// it.
struct SlotHeader {
  ChunkId id;
  uint64_t sequence = 0;  // of the write; higher is later, all differ
  uint32_t pages = 0;
  ByteSpan checksums;  // XXH3-64 of each page

  /// True if `ciphertext` is `pages` pages and each has its checksum. About 12 GB/s.
  bool matches(ByteSpan ciphertext) const;
  /// The same of whole pages that stand in the slot from page `first`.
  bool matches_part(uint32_t first, ByteSpan part) const;
};

inline constexpr uint32_t kSlotHeaderFixedBytes = 80;
inline constexpr uint32_t kChecksumBytes = 8;
inline constexpr uint32_t kSlotHeaderBytesMax =
    (kSlotHeaderFixedBytes + (kChunkPagesMax + 1) * kChecksumBytes + kPageBytes - 1) / kPageBytes *
    kPageBytes;

constexpr uint32_t CacheGeometry::header_bytes() const {
  constexpr auto kPage = static_cast<uint32_t>(kPageBytes);
  const uint32_t used = kSlotHeaderFixedBytes + (pages_max() + 1) * kChecksumBytes;
  return (used + kPage - 1) / kPage * kPage;
}
static_assert(CacheGeometry{kChunkBytesMax, 1}.header_bytes() == kSlotHeaderBytesMax);
static_assert(CacheGeometry{kChunkBytesDefault, 1}.header_bytes() == kPageBytes);

/// What binds a header to its place: one that was written elsewhere is not accepted.
struct SlotPlace {
  CacheGeometry geometry;
  CacheFileId file_id{};
  uint32_t slot = 0;
};

/// Writes all of `out` (the geometry's header_bytes). `ciphertext` is 1 to pages_max pages; one
/// pass of XXH3 over it.
void encode_slot_header(const SlotPlace& place, const ChunkId& id, uint64_t sequence,
                        ByteSpan ciphertext, MutableByteSpan out);
/// nullopt if `in` (the geometry's header_bytes) is not a whole header for this place.
std::optional<SlotHeader> decode_slot_header(const SlotPlace& place, ByteSpan in);
/// True for a slot that was never filled or was dropped: no damage.
bool is_empty_slot(ByteSpan header);

}  // namespace thaw
