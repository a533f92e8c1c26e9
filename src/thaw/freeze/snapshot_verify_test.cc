// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/chunk_sweep.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class VerifyTest : public testing::Test {
 protected:
  Manifest frozen(const std::string& name, const std::vector<PageTag>& tags) {
    const std::string path = directory_.file(name);
    write_image(path, tags);
    FreezeOptions options;
    options.chunk_bytes = kChunkBytesMin;
    const auto result = fixture_.freeze_paths(name, {path, "", {}}, options);
    CHECK(result.has_value());
    return fixture_.load(name);
  }

  std::string key_of(const Manifest& manifest, size_t chunk) const {
    return chunk_key(manifest.clear.root_id, manifest.clear.chunks[chunk].id);
  }
  void flip_bit(const std::string& key) {
    Bytes bytes = *store_.get(key, kGiB);
    bytes[bytes.size() / 2] ^= std::byte{0x10};
    CHECK(store_.replace(key, bytes));
  }
  SnapshotVerdict verdict(const std::string& name, const VerifyOptions& options = {}) {
    Progress progress;
    auto result = verify_snapshot(fixture_.catalog, fixture_.keys, name, options, progress);
    CHECK(result.has_value());
    return std::move(*result);
  }

  const TempDir directory_{"/dev/shm"};
  MemoryStore store_;
  FreezeFixture fixture_{store_};
};

TEST_F(VerifyTest, AWholeSnapshotIsGood) {
  frozen("snap", busy_pages(64));
  Progress progress;
  const auto result = verify_snapshot(fixture_.catalog, fixture_.keys, "snap", {}, progress);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->good());
  EXPECT_EQ(result->chunks_good, 16u);
  EXPECT_EQ(result->bytes_checked, 64 * kPageBytes);
  EXPECT_EQ(progress.bytes_done, progress.bytes_total);
}

TEST_F(VerifyTest, NamesTheLowestBadChunkWhateverTheThreads) {
  const Manifest manifest = frozen("snap", busy_pages(248));  // 62 chunks
  for (const size_t bad : {50u, 23u, 40u}) flip_bit(key_of(manifest, bad));
  for (const unsigned threads : {1u, 2u, 8u}) {
    const SnapshotVerdict found = verdict("snap", {threads, false});
    ASSERT_FALSE(found.good());
    EXPECT_EQ(found.bad[0].key, key_of(manifest, 23));
    EXPECT_EQ(found.bad[0].error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(found.bad[0].error.message, HasSubstr(found.bad[0].key));
    const SnapshotVerdict all = verdict("snap", {threads, true});
    ASSERT_EQ(all.bad.size(), 3u);
    EXPECT_EQ(all.bad[0].key, key_of(manifest, 23));
    EXPECT_EQ(all.bad[2].key, key_of(manifest, 50));
    EXPECT_EQ(all.chunks_bad, 3u);
    EXPECT_EQ(all.chunks_good, 59u);
  }
}

TEST_F(VerifyTest, FindsEveryKindOfDamage) {
  const Manifest manifest = frozen("snap", busy_pages(64));
  const Bytes intact = *store_.get(key_of(manifest, 3), kMiB);
  Bytes longer = intact;
  longer.resize(longer.size() + kPageBytes);
  const Bytes cut(intact.begin(), intact.end() - 1);
  const Bytes swapped = *store_.get(key_of(manifest, 4), kMiB);
  for (const Bytes& damaged : {cut, longer, swapped, Bytes()}) {
    ASSERT_TRUE(store_.replace(key_of(manifest, 3), damaged));
    const SnapshotVerdict found = verdict("snap");
    ASSERT_FALSE(found.good());
    EXPECT_EQ(found.bad[0].error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(found.bad[0].error.message, HasSubstr(key_of(manifest, 3)));
  }
  ASSERT_TRUE(store_.remove(key_of(manifest, 3)));
  EXPECT_EQ(verdict("snap").bad.at(0).error.code, ErrorCode::kNotFound);
}

TEST_F(VerifyTest, EveryBitOfAManifestCounts) {
  frozen("snap", busy_pages(4));
  const NameTarget target = *fixture_.catalog.resolve("test", "snap");
  const std::string key = manifest_key(target.root_id, target.manifest);
  const Bytes intact = *store_.get(key, kMiB);
  for (size_t at = 0; at < intact.size(); at += 7) {
    Bytes damaged = intact;
    damaged[at] ^= std::byte{1};
    ASSERT_TRUE(store_.replace(key, damaged));
    const SnapshotVerdict found = verdict("snap");
    ASSERT_EQ(found.bad.size(), 1u);
    EXPECT_EQ(found.bad[0].key, key);
    EXPECT_THAT(found.bad[0].error.message, HasSubstr(key));
  }
  ASSERT_TRUE(store_.remove(key));
  EXPECT_EQ(verdict("snap").bad.at(0).error.code, ErrorCode::kNotFound);
}

TEST_F(VerifyTest, AnotherTenantsManifestDoesNotOpen) {
  frozen("snap", busy_pages(4));
  const NameTarget target = *fixture_.catalog.resolve("test", "snap");
  ASSERT_TRUE(fixture_.catalog.bind_new("mallory", "stolen", target));
  const FixedKeys mallory("mallory");
  Progress progress;
  const auto result = verify_snapshot(fixture_.catalog, mallory, "stolen", {}, progress);
  ASSERT_TRUE(result);
  ASSERT_FALSE(result->good());
  EXPECT_EQ(result->bad[0].error.code, ErrorCode::kDenied);
}

TEST_F(VerifyTest, AMissingNameAndACancelAreErrors) {
  Progress progress;
  const auto missing = verify_snapshot(fixture_.catalog, fixture_.keys, "none", {}, progress);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  frozen("snap", busy_pages(64));
  progress.cancel = true;
  const auto stopped = verify_snapshot(fixture_.catalog, fixture_.keys, "snap", {}, progress);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
}

TEST_F(VerifyTest, ATenantsSharedChunksAreReadOnce) {
  frozen("a", busy_pages(64));
  frozen("b", busy_pages(128));
  Progress progress;
  const auto all = verify_tenant(fixture_.catalog, fixture_.keys, {}, progress);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_TRUE((*all)[0].good() && (*all)[1].good());
  EXPECT_EQ((*all)[1].chunks_skipped, 16u);
  EXPECT_EQ((*all)[1].chunks_good, 16u);
}

TEST_F(VerifyTest, ABadSharedChunkIsFoundInEachOfItsSnapshots) {
  const Manifest manifest = frozen("a", busy_pages(64));
  frozen("b", busy_pages(128));
  frozen("c", {2});
  flip_bit(key_of(manifest, 9));
  Progress progress;
  const auto stopped = verify_tenant(fixture_.catalog, fixture_.keys, {}, progress);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->size(), 1u);
  const auto all = verify_tenant(fixture_.catalog, fixture_.keys, {0, true}, progress);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 3u);
  EXPECT_FALSE((*all)[0].good());
  EXPECT_FALSE((*all)[1].good());
  EXPECT_TRUE((*all)[2].good());
}

TEST_F(VerifyTest, AWorkingSetAndItsPacksBelongToTheSnapshot) {
  const Manifest manifest = frozen("snap", busy_pages(64));
  const NameTarget target = *fixture_.catalog.resolve(fixture_.keys.tenant(), "snap");
  // A pack of one chunk that is larger than the manifest's chunks, as nothing forbids.
  const uint32_t pages = 2 * manifest.clear.chunk_bytes / kPageBytes;
  const Bytes content(pages * kPageBytes, std::byte{7});
  Sha256 hasher;
  const ChunkId id = name_chunk(hasher, content);
  ASSERT_TRUE(store_.replace(chunk_key(target.root_id, id), content));
  WorkingSet set;
  set.manifest = target.manifest;
  set.recordings = {{{{3, 0, true}, {9, 1, false}}}};
  Pack& pack = set.packs.emplace_back();
  pack.chunks = {{id, pages}};
  pack.chunk_keys = SecretBytes::random(kKeyBytes);
  pack.extents = {{8, 0, 0, static_cast<uint16_t>(pages)}};
  ASSERT_TRUE(put_working_set(fixture_.catalog, fixture_.keys, target, set));
  const SnapshotVerdict good = verdict("snap");
  EXPECT_TRUE(good.good());
  EXPECT_EQ(good.chunks_good, 17u);
  EXPECT_EQ(good.bytes_checked, (64 + pages) * kPageBytes);

  flip_bit(chunk_key(target.root_id, id));
  const SnapshotVerdict bad_pack = verdict("snap");
  ASSERT_EQ(bad_pack.bad.size(), 1u);
  EXPECT_EQ(bad_pack.bad[0].key, chunk_key(target.root_id, id));
  EXPECT_EQ(bad_pack.chunks_good, 16u);

  flip_bit(working_set_key(target.root_id, target.manifest));
  const SnapshotVerdict bad_set = verdict("snap", {0, true});
  ASSERT_EQ(bad_set.bad.size(), 1u);
  EXPECT_EQ(bad_set.bad[0].key, working_set_key(target.root_id, target.manifest));
}

TEST_F(VerifyTest, PageDigestsBelongToTheSnapshot) {
  const std::string path = directory_.file("memory");
  write_image(path, busy_pages(64));
  FreezeOptions options;
  options.chunk_bytes = kChunkBytesMin;
  options.page_digests = true;
  ASSERT_TRUE(fixture_.freeze_paths("snap", {path, "", {}}, options));
  EXPECT_TRUE(verdict("snap").good());

  const NameTarget target = *fixture_.catalog.resolve(fixture_.keys.tenant(), "snap");
  const std::string key = page_digests_key(target.root_id, target.manifest);
  flip_bit(key);
  const SnapshotVerdict bad = verdict("snap");
  ASSERT_EQ(bad.bad.size(), 1u);
  EXPECT_EQ(bad.bad[0].key, key);
  EXPECT_THAT(bad.bad[0].error.message, HasSubstr(key));
  EXPECT_EQ(bad.chunks_good, 16u);

  // After a bad chunk it is looked at on request only.
  flip_bit(key_of(fixture_.load("snap"), 3));
  EXPECT_EQ(verdict("snap").bad.size(), 1u);
  EXPECT_EQ(verdict("snap", {0, true}).bad.size(), 2u);
}

TEST_F(VerifyTest, TheListOfFailuresIsBoundedAndKeepsTheLowest) {
  std::vector<PageTag> tags;
  for (size_t i = 0; i < 1200; ++i) {  // 1,200 different chunks
    tags.insert(tags.end(),
                {static_cast<PageTag>(2 + i % 200), static_cast<PageTag>(2 + i / 200), 2, 2});
  }
  const Manifest manifest = frozen("snap", tags);
  ASSERT_EQ(manifest.clear.chunks.size(), 1200u);
  for (size_t i = 0; i < 1200; ++i) ASSERT_TRUE(store_.remove(key_of(manifest, i)));
  const SnapshotVerdict found = verdict("snap", {0, true});
  EXPECT_EQ(found.chunks_bad, 1200u);
  ASSERT_EQ(found.bad.size(), kSweepFailuresMax);
  EXPECT_EQ(found.bad.front().key, key_of(manifest, 0));
  EXPECT_EQ(found.bad.back().key, key_of(manifest, kSweepFailuresMax - 1));
}

}  // namespace
}  // namespace thaw
