// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/pagemap_scan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "thaw/base/units.h"

namespace thaw {
namespace {

TEST(Smaps, SaysWhatStandsBehindAMapping) {
  const auto mapped = parse_smaps(
      "7f0000000000-7f0000004000 rw-p 00000000 00:00 0 \n"
      "Size:                 16 kB\nVmFlags: rd wr mr mw me um ac sd \n"
      "7f0000004000-7f0000008000 r--p 00001000 08:01 1234                       /a file\n"
      "Rss:                   0 kB\nVmFlags: rd mr mw me sd \n"
      "7f0000008000-7f000000c000 rw-s 00000000 00:01 99                         /memfd:x\n"
      "VmFlags: rd wr sh mr mw me ms uw \n");
  ASSERT_TRUE(mapped) << mapped.error().message;
  EXPECT_EQ(*mapped,
            (std::vector<MappedRange>{{0x7f0000000000, 0x7f0000004000, false, false, true},
                                      {0x7f0000004000, 0x7f0000008000, false, true, false},
                                      {0x7f0000008000, 0x7f000000c000, true, true, true}}));
  for (const char* wrong : {"x", "VmFlags: rd\n", "2-1 rw-p 0 0 0\n",
                            "1000-2000 rw-p 0 0:0 0\n0-1000 rw-p 0 0:0 0\n"}) {
    EXPECT_EQ(parse_smaps(wrong).error().code, ErrorCode::kInvalid) << wrong;
  }
  EXPECT_TRUE(parse_smaps("")->empty());
}

TEST(PageScanner, TellsThePopulatedPagesOfThisProcess) {
  const auto scanner = PageScanner::open(::getpid());
  if (!scanner && scanner.error().code == ErrorCode::kUnsupported) {
    GTEST_SKIP() << scanner.error().message;
  }
  ASSERT_TRUE(scanner) << scanner.error().message;
  // More runs than one call of the ioctl returns.
  constexpr size_t kPages = 3000;
  void* const at = ::mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  ASSERT_EQ(::madvise(at, kPages * kPageBytes, MADV_NOHUGEPAGE), 0);
  auto* const memory = static_cast<char*>(at);
  for (size_t page = 1; page < kPages; page += 2) memory[page * kPageBytes] = 1;
  const uint64_t begin = reinterpret_cast<uint64_t>(at);
  const auto ranges = scanner->populated(begin, begin + kPages * kPageBytes);
  ASSERT_TRUE(ranges) << ranges.error().message;
  ASSERT_EQ(ranges->size(), kPages / 2);
  for (size_t i = 0; i < ranges->size(); ++i) {
    const ScannedRange& range = (*ranges)[i];
    EXPECT_EQ(range.begin, begin + (2 * i + 1) * kPageBytes);
    EXPECT_EQ(range.end, range.begin + kPageBytes);
    EXPECT_TRUE(range.categories & kPagePresent);
    EXPECT_FALSE(range.categories & kPageFile);
  }
  ::munmap(at, kPages * kPageBytes);
}

TEST(MappedRanges, FindsThisProcess) {
  const auto mapped = mapped_ranges(::getpid());
  ASSERT_TRUE(mapped) << mapped.error().message;
  const uint64_t here = reinterpret_cast<uint64_t>(&mapped);
  EXPECT_TRUE(std::any_of(mapped->begin(), mapped->end(), [&](const MappedRange& range) {
    return range.begin <= here && here < range.end && !range.has_file;
  }));
  EXPECT_EQ(mapped_ranges(0x3fffffff).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace thaw
