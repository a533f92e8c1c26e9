// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "thaw/crypto/cipher.h"

namespace thaw {
namespace {

struct Entry {
  size_t image;
  std::vector<Extent> extents;
  uint8_t content;
};

ChunkId id_of(uint8_t content) { return ChunkId{sha256({{std::byte{content}}})}; }

Manifest written(const std::vector<Entry>& entries) {
  SnapshotLedger ledger(2);
  for (const Entry& entry : entries) {
    const Bytes key(kKeyBytes, std::byte{entry.content});
    const auto added = ledger.add(entry.image, entry.extents, {id_of(entry.content), 4}, key);
    EXPECT_TRUE(added.has_value());
  }
  Manifest manifest;
  manifest.images.push_back({ImageKind::kMemory, "memory", 64 * kPageBytes, {}});
  manifest.images.push_back({ImageKind::kVmstate, "vmstate", 64 * kPageBytes, {}});
  std::move(ledger).write_to(manifest);
  return manifest;
}

TEST(SnapshotLedger, NumbersChunksByFirstUseWhateverTheOrderOfArrival) {
  std::vector<Entry> entries{{0, {{0, 0, 0, 2}, {3, 0, 2, 1}}, 7},
                             {0, {{4, 0, 0, 4}}, 3},
                             {0, {{8, 0, 0, 4}}, 7},
                             {1, {{0, 0, 0, 4}}, 3},
                             {1, {{60, 0, 0, 4}}, 9}};
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    const Manifest manifest = written(entries);
    ASSERT_EQ(manifest.clear.chunks.size(), 3u);
    EXPECT_EQ(manifest.clear.chunks[0].id, id_of(7));
    EXPECT_EQ(manifest.clear.chunks[1].id, id_of(3));
    EXPECT_EQ(manifest.clear.chunks[2].id, id_of(9));
    EXPECT_EQ(manifest.chunk_key(1)[0], std::byte{3});
    EXPECT_EQ(manifest.chunk_key(2)[31], std::byte{9});
    EXPECT_EQ(manifest.images[0].map.extents()[1], (Extent{3, 0, 2, 1}));
    EXPECT_EQ(manifest.images[0].map.extents()[3], (Extent{8, 0, 0, 4}));
    EXPECT_EQ(manifest.images[1].map.extents()[1], (Extent{60, 2, 0, 4}));
    std::shuffle(entries.begin(), entries.end(), random);
  }
}

TEST(SnapshotLedger, TellsTheFirstOfEqualChunks) {
  SnapshotLedger ledger(1);
  const Bytes key(kKeyBytes);
  const Extent first{0, 0, 0, 1};
  const Extent second{1, 0, 0, 1};
  EXPECT_TRUE(*ledger.add(0, {&first, 1}, {id_of(1), 1}, key));
  EXPECT_FALSE(*ledger.add(0, {&second, 1}, {id_of(1), 1}, key));
  EXPECT_EQ(ledger.chunk_count(), 1u);
}

TEST(SnapshotLedger, KeysOfManyBlocksStayWithTheirChunks) {
  SnapshotLedger ledger(1);
  Manifest manifest;
  constexpr uint32_t kChunks = 5000;
  for (uint32_t i = 0; i < kChunks; ++i) {
    const ByteSpan number = std::as_bytes(std::span(&i, 1));
    const Extent extent{kChunks - 1 - i, 0, 0, 1};
    ASSERT_TRUE(*ledger.add(0, {&extent, 1}, {ChunkId{sha256(number)}, 1}, sha256(number)));
  }
  manifest.images.push_back({ImageKind::kMemory, "memory", kChunks * kPageBytes, {}});
  std::move(ledger).write_to(manifest);
  for (uint32_t i = 0; i < kChunks; ++i) {
    const Digest& name = manifest.clear.chunks[i].id.digest;
    ASSERT_TRUE(std::ranges::equal(manifest.chunk_key(i), name));
    const uint32_t arrived = kChunks - 1 - i;
    ASSERT_EQ(name, sha256(std::as_bytes(std::span(&arrived, 1))));
  }
}

TEST(SnapshotLedger, HotChunksComeFirstInOrderOfTheirPlaces) {
  SnapshotLedger ledger(1);
  const auto add = [&](uint32_t page, uint8_t content, std::optional<uint32_t> place) {
    const Extent extent{page, 0, 0, 4};
    const Bytes key(kKeyBytes, std::byte{content});
    ASSERT_TRUE(ledger.add(0, {&extent, 1}, {id_of(content), 4}, key, place));
  };
  add(0, 1, std::nullopt);
  add(4, 2, 9);
  add(8, 3, 5);
  add(12, 2, 2);  // the same chunk: the first place counts
  add(16, 4, 7);
  Manifest manifest;
  manifest.images.push_back({ImageKind::kMemory, "memory", 64 * kPageBytes, {}});
  std::move(ledger).write_to(manifest);
  EXPECT_EQ(manifest.hot.chunks, 3u);
  std::vector<ChunkId> ids;
  for (const ChunkEntry& chunk : manifest.clear.chunks) ids.push_back(chunk.id);
  EXPECT_EQ(ids, (std::vector<ChunkId>{id_of(2), id_of(3), id_of(4), id_of(1)}));
  EXPECT_EQ(manifest.chunk_key(3)[0], std::byte{1});
  EXPECT_EQ(manifest.images[0].map.extents()[3], (Extent{12, 0, 0, 4}));
}

}  // namespace
}  // namespace thaw
