// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/pack_writer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "thaw/store/stored_working_set.h"
#include "thaw/testing/layout_fixture.h"
#include "thaw/testing/snapshot_fixture.h"

namespace thaw {
namespace {

/// The pages of a pack as its chunks have them, verified and decrypted, against the image.
void expect_pages(const MemoryStore& store, const Pack& pack, const Bytes& image) {
  CtrCipher cipher;
  Sha256 hasher;
  for (const Extent& extent : pack.extents) {
    const ChunkEntry& chunk = pack.chunks[extent.chunk];
    const auto ciphertext = store.get(chunk_key(1, chunk.id), kGiB);
    ASSERT_TRUE(ciphertext);
    ASSERT_TRUE(verify_chunk(hasher, chunk.id, *ciphertext));
    ASSERT_EQ(ciphertext->size(), chunk.pages * kPageBytes);
    cipher.set_key(pack.chunk_key(extent.chunk));
    Bytes pages(extent.count * kPageBytes);
    decrypt_pages(cipher, ByteSpan(*ciphertext), extent.slot, extent.count, pages.data());
    EXPECT_TRUE(
        std::ranges::equal(pages, ByteSpan(image).subspan(extent.page * kPageBytes, pages.size())));
  }
}

TEST(SealPack, HasTheRecordedPagesAndFitsIntoTheWorkingSet) {
  const TempDir directory("/dev/shm");
  std::mt19937_64 random(5);
  const SourcePaths paths{directory.file("memory"), "", {}};
  // Whole chunks that are equal: pages 0 to 63 are the same four pages over and over.
  std::vector<PageTag> tags = random_tags(random, 3000);
  for (size_t i = 0; i < 64; ++i) tags[i] = static_cast<PageTag>(10 + i % 4);
  write_image(paths.memory, tags);
  MemoryStore store;
  LayoutFixture fixture(store);
  FreezeOptions options;
  options.chunk_bytes = kChunkBytesMin;
  ASSERT_TRUE(fixture.freeze_paths("snap", paths, options));
  const Manifest manifest = fixture.load("snap");
  std::vector<uint32_t> order(3000);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin() + 64, order.end(), random);
  order.resize(1500);
  const std::vector<Recording> recordings{recording_of(order)};
  const std::vector<WorkingPage> pages = merge_recordings(recordings);

  WorkingSet set;
  set.manifest = fixture.target("snap").manifest;
  set.recordings = recordings;
  Progress progress;
  for (const PackKind kind : {PackKind::kReap, PackKind::kFaasnap}) {
    Result<Pack> pack = seal_pack(store, fixture.keys, manifest, pages, {kind, 2, 2}, progress);
    ASSERT_TRUE(pack) << pack.error().message;
    EXPECT_GT(pack->extents.size(), 100u);
    expect_pages(store, *pack, whole_file(paths.memory));
    set.packs.push_back(std::move(*pack));
  }
  ASSERT_TRUE(put_working_set(fixture.catalog, fixture.keys, fixture.target("snap"), set));
  const auto opened = open_working_set(fixture.catalog, fixture.keys, fixture.target("snap"), 3000);
  ASSERT_TRUE(opened && *opened) << opened.error().message;
  EXPECT_EQ((*opened)->packs[0].extents, set.packs[0].extents);
  EXPECT_TRUE((*opened)->packs[1].chunk_keys.equals(set.packs[1].chunk_keys.span()));
}

TEST(SealPack, NothingRecordedIsAnEmptyPackAndNoMemoryIsRefused) {
  MemoryStore store;
  SnapshotFixtureOptions options;
  const SnapshotFixture snapshot = make_snapshot(store, options);
  Progress progress;
  const auto empty = seal_pack(store, snapshot.keys, snapshot.manifest, {}, {}, progress);
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->chunks.empty());
  options.memory_pages = 0;
  const SnapshotFixture state = make_snapshot(store, options);
  EXPECT_EQ(seal_pack(store, state.keys, state.manifest, {}, {}, progress).error().code,
            ErrorCode::kInvalid);
}

TEST(SealPack, ACorruptChunkStopsIt) {
  MemoryStore store;
  const SnapshotFixture snapshot = make_snapshot(store, {});
  const Image& memory = snapshot.image(ImageKind::kMemory);
  const uint32_t page = memory.map.extents()[0].page;
  flip_bit(store, snapshot.chunk_key_of(memory.map.extents()[0].chunk));
  Progress progress;
  const WorkingPage wanted{page, 0, 1, 0};
  const auto pack = seal_pack(store, snapshot.keys, snapshot.manifest, {&wanted, 1}, {}, progress);
  ASSERT_FALSE(pack);
  EXPECT_EQ(pack.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace thaw
