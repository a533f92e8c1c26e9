// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/study_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <random>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

constexpr uint64_t kPagesOfImage = 37;  // no whole number of chunks

Bytes random_bytes(size_t size) {
  std::mt19937_64 random(5);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct Form {
  const char* name;
  StudyFileOptions options;
};

class StudyFileTest : public testing::TestWithParam<Form> {
 protected:
  const TempDir dir_{"/var/tmp"};  // a file system with direct I/O
  const Bytes image_ = random_bytes(kPagesOfImage * kPageBytes);
};

TEST_P(StudyFileTest, EveryReadGivesTheImagesBytes) {
  auto file = *StudyFile::make(dir_.file("f"), image_, GetParam().options);
  for (uint64_t page = 0; page < kPagesOfImage; ++page) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{2}, uint64_t{9}, kPagesOfImage - page}) {
      if (page + count > kPagesOfImage) continue;
      AlignedBuffer out(count * kPageBytes);
      const auto read = file.read(page, out.span());
      ASSERT_TRUE(read) << read.error().message;
      ASSERT_TRUE(std::ranges::equal(
          out.span(), ByteSpan(image_).subspan(page * kPageBytes, count * kPageBytes)))
          << page << " " << count;
    }
  }
}

TEST_P(StudyFileTest, OnlyAnEncryptedFileHidesTheImage) {
  ASSERT_TRUE(StudyFile::make(dir_.file("f"), image_, GetParam().options));
  const Bytes stored = *read_file(dir_.file("f"), kMiB);
  ASSERT_EQ(stored.size(), image_.size());
  EXPECT_EQ(stored != image_, GetParam().options.encrypted);
}

TEST_P(StudyFileTest, AChunkIsReadWholeAndTheLastOneIsKept) {
  auto file = *StudyFile::make(dir_.file("f"), image_, GetParam().options);
  file.begin(std::nullopt, 1);
  AlignedBuffer out(kPageBytes);
  ASSERT_TRUE(file.read(0, out.span()));
  ASSERT_TRUE(file.read(1, out.span()));
  const uint64_t chunk = GetParam().options.chunk_bytes;
  EXPECT_EQ(file.cost().requests, chunk > 0 ? 1U : 2U);
  EXPECT_EQ(file.cost().bytes, chunk > 0 ? chunk : 2 * kPageBytes);
}

TEST_P(StudyFileTest, ADamagedChunkIsFound) {
  auto file = *StudyFile::make(dir_.file("f"), image_, GetParam().options);
  Bytes stored = *read_file(dir_.file("f"), kMiB);
  stored[5 * kPageBytes] ^= std::byte{1};
  const Fd raw = *open_file(dir_.file("f"), O_WRONLY);
  ASSERT_TRUE(write_all_at(raw.get(), 0, stored, "f"));
  AlignedBuffer out(kPageBytes);
  const auto read = file.read(4, out.span());
  if (GetParam().options.chunk_bytes == 0) {
    EXPECT_TRUE(read);  // nothing says what its bytes should be
    return;
  }
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, StudyFileTest,
    testing::Values(Form{"plain", {}}, Form{"encrypted", {.encrypted = true}},
                    Form{"chunked", {.chunk_bytes = 32 * kKiB}},
                    Form{"chunked_encrypted", {.encrypted = true, .chunk_bytes = 32 * kKiB}}),
    [](const testing::TestParamInfo<Form>& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace thaw
