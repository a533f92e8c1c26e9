// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/image_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImageFileTest : public testing::Test {
 protected:
  const TempDir directory_;
  const std::string path_ = directory_.file("image");
};

TEST_F(ImageFileTest, MemoryMustBeWholePages) {
  write_image(path_, busy_pages(3), 100);
  const auto memory = ImageFile::open(path_, ImageKind::kMemory);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(memory.error().message, HasSubstr(path_));
  EXPECT_THAT(memory.error().message, HasSubstr("8292 bytes"));
  EXPECT_THAT(memory.error().message, HasSubstr("multiple of 4096"));
  EXPECT_TRUE(ImageFile::open(path_, ImageKind::kVmstate));
  EXPECT_TRUE(ImageFile::open(path_, ImageKind::kDisk));
}

TEST_F(ImageFileTest, MemoryMustNotBeEmpty) {
  write_image(path_, {});
  const auto memory = ImageFile::open(path_, ImageKind::kMemory);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code, ErrorCode::kInvalid);
  const auto disk = ImageFile::open(path_, ImageKind::kDisk);
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->bytes(), 0u);
  EXPECT_TRUE((*disk)->data_runs().empty());
}

TEST_F(ImageFileTest, TooLargeIsRefusedBeforeAnythingIsRead) {
  const TempDir shm("/dev/shm");  // its files may be larger than those of most disks
  const std::string path = shm.file("huge");
  write_image(path, {});
  if (::truncate(path.c_str(), (int64_t{16} << 40) + 4096) != 0) {
    GTEST_SKIP() << "the file system takes no file above 16 TiB";
  }
  const auto disk = ImageFile::open(path, ImageKind::kDisk);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code, ErrorCode::kInvalid);
}

TEST_F(ImageFileTest, MissingFileAndDirectoryAreNamed) {
  const auto missing = ImageFile::open(path_, ImageKind::kVmstate);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr(path_));
  const auto folder = ImageFile::open(directory_.path(), ImageKind::kDisk);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::kInvalid);
}

TEST_F(ImageFileTest, HolesAreNoDataRuns) {
  const TempDir shm("/dev/shm");  // tells holes page by page
  const std::string path = shm.file("image");
  write_image(path, {0, 2, 3, 0, 0, 1, 4, 0});
  const auto file = ImageFile::open(path, ImageKind::kMemory);
  ASSERT_TRUE(file);
  const std::span<const PageRun> runs = (*file)->data_runs();
  EXPECT_THAT(std::vector<PageRun>(runs.begin(), runs.end()),
              ElementsAre(PageRun{1, 2}, PageRun{5, 2}));
}

TEST_F(ImageFileTest, TheLastPageIsPaddedWithZeros) {
  write_image(path_, {2, 3}, 10);
  const auto file = ImageFile::open(path_, ImageKind::kVmstate);
  ASSERT_TRUE(file);
  Bytes out(2 * kPageBytes, std::byte{0xee});
  ASSERT_TRUE((*file)->read_pages({0, 2}, out));
  Bytes expected = page_of(2);
  const Bytes second = page_of(3);
  expected.insert(expected.end(), second.begin(), second.begin() + 10);
  expected.resize(2 * kPageBytes);
  EXPECT_EQ(out, expected);
}

TEST_F(ImageFileTest, ShrinkingIsAnErrorAndNoSignal) {
  write_image(path_, busy_pages(4));
  const auto file = ImageFile::open(path_, ImageKind::kMemory);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->check_unchanged());
  ASSERT_EQ(::truncate(path_.c_str(), kPageBytes + 5), 0);
  Bytes out(4 * kPageBytes);
  const Result<void> read = (*file)->read_pages({0, 4}, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(read.error().message, HasSubstr(path_ + " changed while it was read"));
  EXPECT_THAT(read.error().message, HasSubstr("byte 4101"));
  const Result<void> unchanged = (*file)->check_unchanged();
  ASSERT_FALSE(unchanged);
  EXPECT_THAT(unchanged.error().message, HasSubstr("changed while it was read"));
}

TEST_F(ImageFileTest, GrowingAndRewritingAreSeen) {
  write_image(path_, busy_pages(4));
  const auto file = ImageFile::open(path_, ImageKind::kMemory);
  ASSERT_TRUE(file);
  ASSERT_EQ(::truncate(path_.c_str(), 5 * kPageBytes), 0);
  EXPECT_FALSE((*file)->check_unchanged());
  ASSERT_EQ(::truncate(path_.c_str(), 4 * kPageBytes), 0);
  // The size is what it was; the time of modification tells.
  const timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  const Result<void> unchanged = (*file)->check_unchanged();
  ASSERT_FALSE(unchanged);
  EXPECT_EQ(unchanged.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(unchanged.error().message, HasSubstr("written"));
}

}  // namespace
}  // namespace thaw
