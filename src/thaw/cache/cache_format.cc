// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/cache_format.h"

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // AVX2 and AVX-512 where the machine has them; same values
#endif

#include <algorithm>
#include <string>

#include "thaw/base/check.h"

namespace thaw {
namespace {

// As bytes in the file: "thawcach", "thawownr", "thawslot".
constexpr uint64_t kSuperblockMagic = 0x6863616377616874;
constexpr uint64_t kOwnerMagic = 0x726e776f77616874;
constexpr uint64_t kSlotMagic = 0x746f6c7377616874;

constexpr uint32_t kBeingMade = 0;
constexpr uint32_t kReady = 1;

uint64_t checksum_of(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

/// Integers put one after the other into a span that is known to hold them.
class FixedWriter {
 public:
  explicit FixedWriter(MutableByteSpan out) : out_(out) {}
  template <typename T>
  void put(T value)
    requires(std::is_unsigned_v<T>)
  {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(ByteSpan bytes) {
    CHECK(bytes.size() <= out_.size() - position_);
    std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<ptrdiff_t>(position_));
    position_ += bytes.size();
  }
  /// The checksum of everything before it, then zeros.
  void finish() {
    put(checksum_of(out_.first(position_)));
    std::fill(out_.begin() + static_cast<ptrdiff_t>(position_), out_.end(), std::byte{0});
  }

 private:
  MutableByteSpan out_;
  size_t position_ = 0;
};

/// True if the next integer is the checksum of all that was read before it.
bool checksum_follows(ByteReader& reader, ByteSpan in) {
  const size_t end = reader.position();
  const uint64_t stored = reader.get<uint64_t>();
  return reader.ok() && stored == checksum_of(in.first(end));
}

}  // namespace

Result<CacheGeometry> geometry_for(uint64_t bytes_max, uint32_t slot_bytes) {
  if (Result<void> valid = validate_chunk_bytes(slot_bytes); !valid) {
    return fail(std::move(valid).error().with_context("the disk cache's slot size"));
  }
  CacheGeometry geometry{slot_bytes, 1};
  if (bytes_max < geometry.file_bytes()) {
    return fail(ErrorCode::kInvalid, "a disk cache of " + std::to_string(bytes_max) +
                                         " bytes has no room for one slot; " + "with slots of " +
                                         human_bytes(slot_bytes) + " it takes at least " +
                                         std::to_string(geometry.file_bytes()));
  }
  geometry.slots = static_cast<uint32_t>(
      std::min<uint64_t>((bytes_max - kSlotsOffset) / geometry.stride(), kCacheSlotsMax));
  return geometry;
}

void encode_superblock(const Superblock& superblock, std::span<std::byte, kPageBytes> page) {
  FixedWriter writer(page);
  writer.put(kSuperblockMagic);
  writer.put(kCacheVersion);
  writer.put(superblock.ready ? kReady : kBeingMade);
  writer.put(superblock.geometry.slot_bytes);
  writer.put(superblock.geometry.slots);
  writer.put_bytes(superblock.file_id);
  writer.finish();
}

tl::expected<Superblock, SuperblockFault> decode_superblock(
    std::span<const std::byte, kPageBytes> page) {
  ByteReader reader(page);
  if (reader.get<uint64_t>() != kSuperblockMagic) {
    return tl::unexpected(SuperblockFault::kForeign);
  }
  const auto version = reader.get<uint32_t>();
  if (version != kCacheVersion) return tl::unexpected(SuperblockFault::kOtherVersion);
  const auto state = reader.get<uint32_t>();
  Superblock superblock;
  superblock.ready = state == kReady;
  superblock.geometry.slot_bytes = reader.get<uint32_t>();
  superblock.geometry.slots = reader.get<uint32_t>();
  const ByteSpan file_id = reader.get_bytes(superblock.file_id.size());
  std::copy(file_id.begin(), file_id.end(), superblock.file_id.begin());
  if (!checksum_follows(reader, page) || state > kReady ||
      !validate_chunk_bytes(superblock.geometry.slot_bytes) || superblock.geometry.slots == 0 ||
      superblock.geometry.slots > kCacheSlotsMax) {
    return tl::unexpected(SuperblockFault::kDamaged);
  }
  return superblock;
}

void encode_owner(uint32_t pid, std::span<std::byte, kPageBytes> page) {
  FixedWriter writer(page);
  writer.put(kOwnerMagic);
  writer.put(pid);
  writer.finish();
}

uint32_t decode_owner(std::span<const std::byte, kPageBytes> page) {
  ByteReader reader(page);
  const bool magic = reader.get<uint64_t>() == kOwnerMagic;
  const auto pid = reader.get<uint32_t>();
  return magic && checksum_follows(reader, page) ? pid : 0;
}

bool SlotHeader::matches(ByteSpan ciphertext) const {
  return ciphertext.size() == size_t{pages} * kPageBytes && matches_part(0, ciphertext);
}

bool SlotHeader::matches_part(uint32_t first, ByteSpan part) const {
  const size_t count = part.size() / kPageBytes;
  if (part.size() % kPageBytes != 0 || first > pages || count > pages - first) return false;
  ByteReader reader(checksums.subspan(size_t{first} * kChecksumBytes));
  for (size_t page = 0; page < count; ++page) {
    if (reader.get<uint64_t>() != checksum_of(part.subspan(page * kPageBytes, kPageBytes))) {
      return false;
    }
  }
  return true;
}

void encode_slot_header(const SlotPlace& place, const ChunkId& id, uint64_t sequence,
                        ByteSpan ciphertext, MutableByteSpan out) {
  CHECK(out.size() == place.geometry.header_bytes());
  CHECK(!ciphertext.empty() && ciphertext.size() % kPageBytes == 0);
  CHECK(ciphertext.size() <= place.geometry.slot_bytes);
  FixedWriter writer(out);
  writer.put(kSlotMagic);
  writer.put(kCacheVersion);
  writer.put(place.slot);
  writer.put_bytes(place.file_id);
  writer.put_bytes(id.digest);
  writer.put(sequence);
  writer.put(static_cast<uint32_t>(ciphertext.size() / kPageBytes));
  writer.put(uint32_t{0});
  for (size_t at = 0; at < ciphertext.size(); at += kPageBytes) {
    writer.put(checksum_of(ciphertext.subspan(at, kPageBytes)));
  }
  writer.finish();
}

std::optional<SlotHeader> decode_slot_header(const SlotPlace& place, ByteSpan in) {
  CHECK(in.size() == place.geometry.header_bytes());
  ByteReader reader(in);
  if (reader.get<uint64_t>() != kSlotMagic || reader.get<uint32_t>() != kCacheVersion ||
      reader.get<uint32_t>() != place.slot) {
    return std::nullopt;
  }
  const ByteSpan file_id = reader.get_bytes(place.file_id.size());
  if (!std::equal(file_id.begin(), file_id.end(), place.file_id.begin())) return std::nullopt;
  SlotHeader header;
  const ByteSpan digest = reader.get_bytes(header.id.digest.size());
  std::copy(digest.begin(), digest.end(), header.id.digest.begin());
  header.sequence = reader.get<uint64_t>();
  header.pages = reader.get<uint32_t>();
  const auto reserved = reader.get<uint32_t>();
  if (header.pages == 0 || header.pages > place.geometry.pages_max() || reserved != 0) {
    return std::nullopt;
  }
  header.checksums = reader.get_bytes(uint64_t{header.pages} * kChecksumBytes);
  if (!checksum_follows(reader, in)) return std::nullopt;
  return header;
}

bool is_empty_slot(ByteSpan header) {
  return std::all_of(header.begin(), header.begin() + sizeof(uint64_t),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace thaw
