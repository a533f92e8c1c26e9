// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/file_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

namespace thaw {
namespace {

class FileIo : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(path_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  size_t entries() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) count += entry.exists();
    return count;
  }

  std::string path_ = std::filesystem::temp_directory_path().string() + "/thaw-file-io-XXXXXX";
};

TEST_F(FileIo, ReplaceLeavesOneWholeFileWithItsMode) {
  ASSERT_TRUE(replace_file(file("a"), as_bytes("first"), 0600));
  ASSERT_TRUE(replace_file(file("a"), as_bytes("second"), 0600));
  EXPECT_EQ(as_text(*read_file(file("a"), 100)), "second");
  struct stat status{};
  ASSERT_EQ(::stat(file("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileIo, AFailedReplaceLeavesNothingBehind) {
  ASSERT_TRUE(make_directories(file("taken/inside")));
  const Result<void> replaced = replace_file(file("taken"), as_bytes("x"), 0600);
  ASSERT_FALSE(replaced);
  EXPECT_EQ(entries(), 1u);
  EXPECT_FALSE(replace_file(file("missing/a"), as_bytes("x"), 0600));
}

TEST_F(FileIo, ErrorsNameTheFileAndTheAction) {
  const Result<Fd> missing = open_file(file("none"), O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find(file("none")), std::string::npos);

  ASSERT_TRUE(replace_file(file("a"), as_bytes("12345"), 0600));
  EXPECT_EQ(read_file(file("a"), 4).error().code, ErrorCode::kExhausted);
  const Fd fd = *open_file(file("a"), O_RDONLY);
  Bytes six(6);
  EXPECT_EQ(read_exact_at(fd.get(), 0, six, "a").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(*read_some_at(fd.get(), 0, six, "a"), 5u);
  const Fd directory = *open_file(path_, O_RDONLY | O_DIRECTORY);
  EXPECT_FALSE(file_size(directory.get(), path_));
}

TEST_F(FileIo, DataExtentsFollowHoles) {
  const Fd fd = *open_file(file("sparse"), O_RDWR | O_CREAT);
  constexpr uint64_t kSize = 1 << 20;
  ASSERT_EQ(::ftruncate(fd.get(), kSize), 0);
  EXPECT_TRUE(data_extents(fd.get(), kSize, "sparse")->empty());
  const Bytes page(4096, std::byte{1});
  ASSERT_TRUE(write_all_at(fd.get(), 256 * 1024, page, "sparse"));
  const std::vector<DataExtent> extents = *data_extents(fd.get(), kSize, "sparse");
  ASSERT_EQ(extents.size(), 1u);
  EXPECT_LE(extents[0].offset, 256u * 1024);
  EXPECT_GE(extents[0].offset + extents[0].bytes, 256u * 1024 + 4096);
  EXPECT_LT(extents[0].bytes, kSize / 2);
}

TEST_F(FileIo, DirectoriesAreMadeOnceAndAgain) {
  EXPECT_TRUE(make_directories(file("a/b/c")));
  EXPECT_TRUE(make_directories(file("a/b/c")));
  ASSERT_TRUE(replace_file(file("plain"), as_bytes("x"), 0600));
  EXPECT_FALSE(make_directories(file("plain/below")));
}

TEST_F(FileIo, AnFdClosesOnceAndMoves) {
  int number = -1;
  {
    Fd first = *open_file("/dev/null", O_RDONLY);
    number = first.get();
    Fd second = std::move(first);
    EXPECT_EQ(second.get(), number);
    EXPECT_GE(::fcntl(number, F_GETFD), 0);
  }
  EXPECT_LT(::fcntl(number, F_GETFD), 0);
}

}  // namespace
}  // namespace thaw
