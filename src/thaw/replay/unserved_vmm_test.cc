// SPDX-License-Identifier: Apache-2.0
//
// The replay VMM with memory that no page server serves: what page servers are compared with.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "thaw/base/check.h"
#include "thaw/replay/image_pattern_test.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using Event = ReplayVmmEvent::Kind;

class UnservedVmmTest : public ::testing::TestWithParam<ReplayBacking> {
 protected:
  UnservedVmmTest() {
    const Bytes image = random_image(kImageBytes);
    CHECK(replace_file(dir_.file("memory"), image, 0600));
    CHECK(replace_file(dir_.file("mapped"), image, 0600));
    options_.backing = GetParam();
    options_.image_path = dir_.file("memory");
    options_.mapped_path = dir_.file("mapped");
    // Not in order, and with a hole: offsets count.
    options_.regions = {{kImageBytes / 4, kImageBytes / 2}, {kImageBytes / 4, 0}};
    options_.touching.order = ReplayTouching::Order::kPermutation;
    options_.touching.check = ReplayTouching::Check::kAfterTrace;
    options_.touching.write_percent = 50;
    options_.touching.threads = 2;
  }

  ReplayVmmResult run() const { return (*ReplayVmm::start(options_))->wait(kPatience); }

  const TempDir dir_;
  ReplayVmmOptions options_;
};

TEST_P(UnservedVmmTest, TouchesAndComparesEveryPage) {
  const ReplayVmmResult result = run();
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_touched, kPages / 2);
  EXPECT_EQ(result.report->pages_checked, kPages / 2);
  EXPECT_GT(result.report->writes, 0u);
  EXPECT_GE(result.report->from_handshake_ns, result.report->touching_ns);
}

TEST_P(UnservedVmmTest, LeavesTheFilesAsTheyWere) {
  ASSERT_TRUE(run().passed());
  EXPECT_EQ(*read_file(dir_.file("memory"), kImageBytes), random_image(kImageBytes));
  EXPECT_EQ(*read_file(dir_.file("mapped"), kImageBytes), random_image(kImageBytes));
}

TEST_P(UnservedVmmTest, RefusesWhatNeedsAPageServer) {
  options_.random_removes = 1;
  const auto vmm = ReplayVmm::start(options_);
  ASSERT_FALSE(vmm);
  EXPECT_EQ(vmm.error().code, ErrorCode::kInvalid);
}

INSTANTIATE_TEST_SUITE_P(Backings, UnservedVmmTest,
                         ::testing::Values(ReplayBacking::kPrivateFile, ReplayBacking::kRegions,
                                           ReplayBacking::kPresent));

/// Through a private mapping of "mapped" in this folder, compared with "memory".
ReplayVmmOptions sequential_over(const TempDir& dir) {
  ReplayVmmOptions options;
  options.backing = ReplayBacking::kPrivateFile;
  options.image_path = dir.file("memory");
  options.mapped_path = dir.file("mapped");
  options.regions = {{kImageBytes, 0}};
  options.touching.order = ReplayTouching::Order::kSequential;
  return options;
}

// The oracle is the image, not what is mapped.
TEST(UnservedVmm, FindsAWrongFile) {
  const TempDir dir;
  Bytes image = random_image(kImageBytes);
  ASSERT_TRUE(replace_file(dir.file("memory"), image, 0600));
  image[5 * kPageBytes + 7] ^= std::byte{1};
  ASSERT_TRUE(replace_file(dir.file("mapped"), image, 0600));
  ReplayVmmOptions options = sequential_over(dir);
  const ReplayVmmResult result = (*ReplayVmm::start(options))->wait(kPatience);
  EXPECT_EQ(result.exit, ReplayVmmExit::kMismatch);
  ASSERT_TRUE(result.report);
  ASSERT_EQ(result.report->mismatch_count, 1u);
  EXPECT_EQ(result.report->mismatches[0].page, 5u);
}

// A hole of a file on a tmpfs that somebody reads through a mapping becomes a page of memory.
TEST(UnservedVmm, HolesOfItsImageStayHoles) {
  const TempDir dir("/dev/shm");
  constexpr uint64_t kDataBytes = kImageBytes / 4;
  const Bytes data(kDataBytes, std::byte{7});
  for (const char* name : {"memory", "mapped"}) {
    ASSERT_TRUE(replace_file(dir.file(name), data, 0600));
    ASSERT_EQ(::truncate(dir.file(name).c_str(), kImageBytes), 0);
  }
  ReplayVmmOptions options = sequential_over(dir);
  options.touching.order = ReplayTouching::Order::kTrace;
  options.touching.trace = {kPages, {{1, false, 0}, {kPages - 1, true, 0}}};
  const ReplayVmmResult result = (*ReplayVmm::start(options))->wait(kPatience);
  ASSERT_TRUE(result.passed()) << result.describe();
  struct stat status;
  ASSERT_EQ(::stat(dir.file("memory").c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_blocks) * 512, kDataBytes + kPageBytes);
}

TEST(UnservedVmm, ComparesNothingUntilItMay) {
  const TempDir dir;
  Bytes image = random_image(kImageBytes);
  ASSERT_TRUE(replace_file(dir.file("memory"), image, 0600));
  ASSERT_TRUE(replace_file(dir.file("mapped"), image, 0600));
  ReplayVmmOptions options = sequential_over(dir);
  options.touching.check = ReplayTouching::Check::kAfterTrace;
  options.hold_before_check = true;
  const auto vmm = *ReplayVmm::start(options);
  ASSERT_TRUE(vmm->wait_for(Event::kTouched, kPatience));
  // What was only read shows what the file has: a comparison from now on finds this.
  const Fd file = *open_file(dir.file("mapped"), O_WRONLY);
  image[9 * kPageBytes] ^= std::byte{1};
  ASSERT_TRUE(write_all_at(file.get(), 9 * kPageBytes,
                           ByteSpan(image).subspan(9 * kPageBytes, kPageBytes), "mapped"));
  vmm->proceed();
  const ReplayVmmResult& result = vmm->wait(kPatience);
  EXPECT_EQ(result.exit, ReplayVmmExit::kMismatch);
  ASSERT_TRUE(result.report);
  ASSERT_EQ(result.report->mismatch_count, 1u);
  EXPECT_EQ(result.report->mismatches[0].page, 9u);
  EXPECT_GT(result.report->touched_at_ns, 0u);
}

}  // namespace
}  // namespace thaw
