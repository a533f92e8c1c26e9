// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_ledger.h"

#include <algorithm>
#include <limits>

#include "thaw/base/check.h"
#include "thaw/crypto/cipher.h"
#include "thaw/image/layout_plan.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr size_t kKeysPerBlock = 2048;  // 64 KiB
constexpr uint32_t kUnnumbered = std::numeric_limits<uint32_t>::max();

}  // namespace

Result<bool> SnapshotLedger::add(size_t image, std::span<const Extent> extents,
                                 const ChunkEntry& chunk, ByteSpan key,
                                 std::optional<uint32_t> place) {
  // The same bound as in make_envelope(), which would find out only after all the work was done.
  const uint64_t sealed_bytes =
      (chunks_.size() + 1) * kKeyBytes + (extent_count_ + extents.size()) * sizeof(Extent);
  if (sealed_bytes > kEnvelopeBytesMax / 2) {
    return fail(ErrorCode::kExhausted,
                "the snapshot has too many chunks and runs of pages for one manifest (limit " +
                    human_bytes(kEnvelopeBytesMax / 2) + "); use larger chunks");
  }
  const auto [found, is_new] = index_.try_emplace(chunk.id, static_cast<uint32_t>(chunks_.size()));
  if (is_new) {
    chunks_.push_back(chunk);
    places_.push_back(kNoPlace);
    append_key(key);
  }
  uint32_t& first_place = places_[found->second];
  first_place = std::min(first_place, place.value_or(kNoPlace));
  for (Extent extent : extents) {
    extent.chunk = found->second;
    extents_[image].push_back(extent);
  }
  extent_count_ += extents.size();
  return is_new;
}

void SnapshotLedger::write_to(Manifest& manifest) && {
  CHECK(manifest.images.size() == extents_.size());
  index_ = {};
  std::vector<uint32_t> number(chunks_.size(), kUnnumbered);  // in the table, by order of arrival
  std::vector<ChunkEntry>& table = manifest.clear.chunks;
  table.clear();
  table.reserve(chunks_.size());
  manifest.chunk_keys = SecretBytes(chunks_.size() * kKeyBytes);
  const auto numbered = [&](uint32_t chunk) {
    uint32_t& wanted = number[chunk];
    if (wanted == kUnnumbered) {
      wanted = static_cast<uint32_t>(table.size());
      const ByteSpan key = key_of(chunk);
      std::copy(key.begin(), key.end(), manifest.chunk_keys.data() + size_t{wanted} * kKeyBytes);
      table.push_back(chunks_[chunk]);
    }
    return wanted;
  };
  for (const uint32_t chunk : chunks_by_place()) numbered(chunk);
  for (const uint32_t place : places_) {
    if (place == kNoPlace) continue;
    ++(place < kSkirtPlace ? manifest.hot.chunks : manifest.hot.skirt_chunks);
  }
  for (std::vector<Extent>& extents : extents_) {
    std::ranges::sort(extents, {}, &Extent::page);
    for (Extent& extent : extents) extent.chunk = numbered(extent.chunk);
  }
  CHECK(table.size() == chunks_.size());  // every chunk was added with an extent

  std::vector<uint32_t> chunk_pages(table.size());
  for (size_t i = 0; i < table.size(); ++i) chunk_pages[i] = table[i].pages;
  for (size_t i = 0; i < extents_.size(); ++i) {
    Image& image = manifest.images[i];
    Result<PageMap> map =
        PageMap::make(pages_for(image.bytes), std::move(extents_[i]), chunk_pages);
    CHECK(map.has_value());
    image.map = std::move(*map);
  }
}

/// The hot chunks, numbered by arrival.
std::vector<uint32_t> SnapshotLedger::chunks_by_place() const {
  std::vector<uint32_t> hot;
  for (uint32_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    if (places_[chunk] != kNoPlace) hot.push_back(chunk);
  }
  std::ranges::sort(hot, {}, [this](uint32_t chunk) { return places_[chunk]; });
  return hot;
}

void SnapshotLedger::append_key(ByteSpan key) {
  CHECK(key.size() == kKeyBytes);
  const size_t slot = (chunks_.size() - 1) % kKeysPerBlock;
  if (slot == 0) key_blocks_.emplace_back(kKeysPerBlock * kKeyBytes);
  std::copy(key.begin(), key.end(), key_blocks_.back().data() + slot * kKeyBytes);
}

ByteSpan SnapshotLedger::key_of(uint32_t chunk) const {
  return key_blocks_[chunk / kKeysPerBlock].span().subspan((chunk % kKeysPerBlock) * kKeyBytes,
                                                           kKeyBytes);
}

}  // namespace thaw
