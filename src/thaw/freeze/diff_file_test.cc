// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/diff_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/testing/freeze_fixture.h"

namespace thaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kX86 = 0x0710'1984'8664'0000;

Bytes vmstate_of(std::string_view version, uint64_t magic = kX86) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.put(magic);
  writer.put_text<uint64_t>(version);
  writer.put(uint64_t{0});
  return bytes;
}

TEST(OpenDiff, ItsDataRunsAreTheDirtyPages) {
  const TempDir directory("/dev/shm");
  const std::string path = directory.file("diff");
  write_image(path, {kHolePage, 3, kZeroPage, kHolePage, 4, kHolePage});
  const auto diff = open_diff(path, 6 * kPageBytes);
  ASSERT_TRUE(diff) << diff.error().message;
  EXPECT_THAT((*diff)->data_runs(), ElementsAre(PageRun{1, 2}, PageRun{4, 1}));
  EXPECT_EQ(open_diff(path, 7 * kPageBytes).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(open_diff(directory.file("none"), kPageBytes).error().code, ErrorCode::kNotFound);
}

TEST(OpenDiff, DataThatIsNoWholePagesIsUnaligned) {
  const auto pages = [](std::vector<DataExtent> extents) {
    return whole_pages_of(extents, 10 * kPageBytes, "diff");
  };
  EXPECT_EQ(*pages({{0, kPageBytes}, {3 * kPageBytes, 7 * kPageBytes}}),
            (PageRuns{{0, 1}, {3, 7}}));
  EXPECT_TRUE(pages({})->empty());
  for (const DataExtent wrong : {DataExtent{1024, kPageBytes}, DataExtent{0, 1024},
                                 DataExtent{kPageBytes, kPageBytes + 512}}) {
    const auto result = pages({wrong});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(result.error().message, HasSubstr("unaligned"));
  }
}

TEST(DiffWriter, CorruptVersionsAreRefusedAboveOneSlot) {
  constexpr uint64_t kSmall = 3 * kGiB;
  constexpr uint64_t kLarge = 3 * kGiB + kMiB;
  for (const char* corrupt : {"firecracker-1.14.0", "firecracker-1.14.1"}) {
    EXPECT_TRUE(check_diff_writer(corrupt, {}, kSmall));
    const auto refused = check_diff_writer(corrupt, {}, kLarge);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(refused.error().message, HasSubstr("1.14.2"));
  }
  for (const char* good :
       {"firecracker-1.14.2", "firecracker-1.13.2", "firecracker-1.15.0", "cloud-hypervisor"}) {
    EXPECT_TRUE(check_diff_writer(good, {}, kLarge)) << good;
  }
  for (const char* wrong : {"firecracker-", "firecracker-1.14", "firecracker-1.14.1x"}) {
    EXPECT_FALSE(check_diff_writer(wrong, {}, kSmall)) << wrong;
  }
}

TEST(DiffWriter, WithoutAWordTheVmstateDecidesOrItIsAsked) {
  constexpr uint64_t kLarge = 8 * kGiB;
  EXPECT_TRUE(check_diff_writer("", {}, kGiB));
  EXPECT_TRUE(check_diff_writer("", vmstate_of("8.0.0"), kGiB));
  for (const char* certain : {"6.0.0", "1.0.0", "5.0.0"}) {
    EXPECT_TRUE(check_diff_writer("", vmstate_of(certain), kLarge)) << certain;
  }
  // From 1.15 on the header has no stable place.
  EXPECT_TRUE(check_diff_writer("", vmstate_of("8.0.0", 7), kLarge));
  const auto open = check_diff_writer("", vmstate_of("8.0.0"), kLarge);
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().message, HasSubstr("--writer"));
  EXPECT_FALSE(check_diff_writer("", {}, kLarge));
}

TEST(DiffWriter, ReadsHostileHeaders) {
  EXPECT_EQ(vmstate_version(vmstate_of("8.0.0")), "8.0.0");
  const Bytes whole = vmstate_of("8.0.0");
  for (size_t length = 0; length < 21; ++length) {
    EXPECT_FALSE(vmstate_version(ByteSpan(whole).first(length))) << length;
  }
  Bytes huge = whole;
  for (size_t i = 8; i < 16; ++i) huge[i] = std::byte{255};
  EXPECT_FALSE(vmstate_version(huge));
  EXPECT_FALSE(vmstate_version(vmstate_of("8.0")));
  EXPECT_FALSE(vmstate_version(vmstate_of("")));
}

}  // namespace
}  // namespace thaw
