// SPDX-License-Identifier: Apache-2.0
//
// The oracle is itself checked: every page of every image, decrypted by hand, is the plaintext.
#include "thaw/testing/snapshot_fixture.h"

#include <gtest/gtest.h>

#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/testing/memory_store.h"

namespace thaw {
namespace {

Bytes read_by_hand(const MemoryStore& store, const SnapshotFixture& fixture, const Image& image) {
  Bytes plain(pages_for(image.bytes) * kPageBytes);
  Sha256 hasher;
  CtrCipher cipher;
  for (const Extent& extent : image.map.extents()) {
    const Bytes ciphertext = *store.get(fixture.chunk_key_of(extent.chunk), kChunkBytesMax);
    EXPECT_TRUE(verify_chunk(hasher, fixture.manifest.clear.chunks[extent.chunk].id, ciphertext));
    cipher.set_key(fixture.manifest.chunk_key(extent.chunk));
    decrypt_pages(cipher, ByteSpan(ciphertext), extent.slot, extent.count,
                  plain.data() + uint64_t{extent.page} * kPageBytes);
  }
  plain.resize(image.bytes);
  return plain;
}

class EveryLayout : public testing::TestWithParam<Layout> {};

TEST_P(EveryLayout, StoredPagesAreTheOracle) {
  for (const double zero_share : {0.0, 0.3, 0.6, 1.0}) {
    MemoryStore store;
    SnapshotFixtureOptions options;
    options.seed = 7;
    options.layout = GetParam();
    options.zero_share = zero_share;
    options.disks = {{"root", 1'000'001}, {"data.1", 300 * kPageBytes}};
    const SnapshotFixture fixture = make_snapshot(store, options);
    ASSERT_EQ(fixture.manifest.images.size(), 4u);
    for (size_t i = 0; i < fixture.oracles.size(); ++i) {
      const Image& image = fixture.manifest.images[i];
      EXPECT_EQ(image.bytes, fixture.oracles[i].size());
      EXPECT_TRUE(read_by_hand(store, fixture, image) == fixture.oracles[i]) << image.name;
    }
    const Image& memory = fixture.image(ImageKind::kMemory);
    EXPECT_NEAR(static_cast<double>(memory.map.data_pages()),
                static_cast<double>(options.memory_pages) * (1 - zero_share), 150);
  }
}

INSTANTIATE_TEST_SUITE_P(SnapshotFixture, EveryLayout,
                         testing::Values(Layout::kLinear, Layout::kHot));

TEST(SnapshotFixture, TheSeedDecides) {
  MemoryStore store;
  SnapshotFixtureOptions options;
  const SnapshotFixture first = make_snapshot(store, options);
  const SnapshotFixture again = make_snapshot(store, options);
  EXPECT_EQ(first.oracles, again.oracles);
  options.seed = 2;
  EXPECT_NE(make_snapshot(store, options).oracles, first.oracles);
}

}  // namespace
}  // namespace thaw
