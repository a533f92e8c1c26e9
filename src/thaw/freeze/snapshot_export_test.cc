// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "thaw/testing/faulty_store.h"
#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class ExportTest : public testing::Test {
 protected:
  /// Freezes an image of these pages and returns its manifest.
  Manifest frozen(const std::vector<PageTag>& tags, size_t last_page_bytes = kPageBytes) {
    write_image(source_, tags, last_page_bytes);
    FreezeOptions options;
    options.chunk_bytes = kChunkBytesMin;
    options.replace = true;
    const auto result = fixture_.freeze_paths("snap", {"", "", {{"disk", source_}}}, options);
    CHECK(result.has_value());
    return fixture_.load("snap");
  }

  Result<ExportStats> export_disk(const Manifest& manifest, const ExportOptions& options = {}) {
    Progress progress;
    return export_image(store_, manifest, manifest.images[0], out_, options, progress);
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TempDir directory_{"/dev/shm"};
  const std::string source_ = directory_.file("source");
  const std::string out_ = directory_.file("out");
  MemoryStore store_;
  FreezeFixture fixture_{store_};
};

TEST_F(ExportTest, IsByteIdenticalAndSparse) {
  std::vector<PageTag> tags(4096, kHolePage);
  for (size_t i = 100; i < 130; ++i) tags[i] = static_cast<PageTag>(i);
  tags[2000] = kZeroPage;
  tags.back() = 9;
  const Manifest manifest = frozen(tags, 123);
  const auto stats = export_disk(manifest);
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(whole_file(out_), whole_file(source_));
  EXPECT_EQ(stats->bytes_total, 4095 * kPageBytes + 123);
  EXPECT_EQ(stats->bytes_written, 30 * kPageBytes + 123);
  struct stat status{};
  ASSERT_EQ(::stat(out_.c_str(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, static_cast<blkcnt_t>(31 * kPageBytes));
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ExportTest, EqualWindowsAreReadOnce) {
  std::vector<PageTag> tags;
  for (int i = 0; i < 100; ++i) tags.insert(tags.end(), {2, 3, 4, 5});
  const Manifest manifest = frozen(tags);
  const auto stats = export_disk(manifest);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->chunks_read, 1u);
  EXPECT_EQ(whole_file(out_), whole_file(source_));
}

TEST_F(ExportTest, EmptyAndAllZeroImages) {
  for (const std::vector<PageTag>& tags :
       {std::vector<PageTag>{}, std::vector<PageTag>(50, kZeroPage)}) {
    const Manifest manifest = frozen(tags);
    ASSERT_TRUE(manifest.clear.chunks.empty());
    ASSERT_TRUE(export_disk(manifest, {0, true}));
    EXPECT_EQ(whole_file(out_), whole_file(source_));
  }
}

TEST_F(ExportTest, OverwritesOnlyWhenTold) {
  const Manifest manifest = frozen(busy_pages(9));
  write_image(out_, {7});
  const Bytes before = whole_file(out_);
  const auto refused = export_disk(manifest);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExists);
  EXPECT_EQ(whole_file(out_), before);
  ASSERT_TRUE(export_disk(manifest, {0, true}));
  EXPECT_EQ(whole_file(out_), whole_file(source_));
}

TEST_F(ExportTest, TouchesNothingButRegularFiles) {
  const Manifest manifest = frozen(busy_pages(9));
  ASSERT_EQ(::symlink(source_.c_str(), out_.c_str()), 0);
  const auto refused = export_disk(manifest, {0, true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(files(), testing::ElementsAre("out", "source"));
}

TEST_F(ExportTest, ADamagedChunkFailsAndLeavesNothing) {
  const Manifest manifest = frozen(busy_pages(64));
  const uint64_t root = manifest.clear.root_id;
  const std::string bad = chunk_key(root, manifest.clear.chunks[5].id);
  const std::string other = chunk_key(root, manifest.clear.chunks[6].id);
  const Bytes intact = *store_.get(bad, kMiB);
  Bytes flipped = intact;
  flipped[4097] ^= std::byte{1};
  Bytes cut(intact.begin(), intact.end() - kPageBytes);
  const Bytes swapped = *store_.get(other, kMiB);
  for (const Bytes& damaged : {flipped, cut, swapped, Bytes()}) {
    ASSERT_TRUE(store_.replace(bad, damaged));
    for (const unsigned threads : {1u, 4u}) {
      const auto result = export_disk(manifest, {threads, false});
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(result.error().message, HasSubstr(bad));
      EXPECT_THAT(files(), testing::ElementsAre("source"));
    }
  }
  ASSERT_TRUE(store_.remove(bad));
  const auto result = export_disk(manifest);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr(bad));
  EXPECT_THAT(files(), testing::ElementsAre("source"));
}

TEST_F(ExportTest, AStoreThatLiesNeverMakesAWrongFile) {
  const Manifest manifest = frozen(busy_pages(64));
  FaultyStore lying(store_);
  int failed = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    lying.set_plan({.seed = seed,
                    .error_rate = 0.01,
                    .truncate_rate = 0.02,
                    .flip_rate = 0.02,
                    .swap_rate = 0.02});
    SCOPED_TRACE(lying.describe());
    Progress progress;
    const auto result =
        export_image(lying, manifest, manifest.images[0], out_, {2, true}, progress);
    if (result) {
      ASSERT_EQ(whole_file(out_), whole_file(source_));
      ASSERT_EQ(::unlink(out_.c_str()), 0);
    } else {
      ++failed;
    }
    ASSERT_THAT(files(), testing::ElementsAre("source"));
  }
  EXPECT_GT(failed, 10);
  EXPECT_LT(failed, 60);
}

TEST_F(ExportTest, CancelAndMissingDirectoryLeaveNothing) {
  const Manifest manifest = frozen(busy_pages(64));
  Progress progress;
  progress.cancel = true;
  const auto stopped = export_image(store_, manifest, manifest.images[0], out_, {}, progress);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  progress.cancel = false;
  const std::string nowhere = directory_.file("missing/out");
  const auto lost = export_image(store_, manifest, manifest.images[0], nowhere, {}, progress);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(files(), testing::ElementsAre("source"));
}

TEST_F(ExportTest, LeaksNoDescriptor) {
  const Manifest manifest = frozen(busy_pages(64));
  const size_t before = open_descriptors();
  ASSERT_TRUE(export_disk(manifest));
  ASSERT_FALSE(export_disk(manifest));
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace thaw
