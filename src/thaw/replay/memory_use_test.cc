// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/memory_use.h"

#include <gtest/gtest.h>

#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr char kSmaps[] =
    "55d0c0000000-55d0c0001000 r--p 00000000 fe:00 12 /bin/true\n"
    "Size:                  4 kB\n"
    "Pss:                  99 kB\n"
    "Private_Clean:        99 kB\n"
    "7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n"
    "Rss:                 512 kB\n"
    "Pss:                 256 kB\n"
    "Pss_Dirty:            77 kB\n"
    "Shared_Clean:        300 kB\n"
    "Private_Clean:        12 kB\n"
    "Private_Dirty:       200 kB\n"
    "VmFlags: rd wr mr mw me ac sd\n"
    "7f0000100000-7f0000200000 r--p 00000000 fe:00 13 /memory\n"
    "Pss:                   8 kB\n"
    "Private_Dirty:         4 kB\n";

TEST(MemoryUse, AddsUpWhatHasAPartInTheRange) {
  const MemoryUse first = memory_use(kSmaps, 0x7f0000000000, 0x7f0000100000);
  EXPECT_EQ(first.private_bytes, 212 * kKiB);
  EXPECT_EQ(first.share_bytes, 256 * kKiB);
  const MemoryUse both = memory_use(kSmaps, 0x7f00000ff000, 0x7f0000101000);
  EXPECT_EQ(both.private_bytes, 216 * kKiB);
  EXPECT_EQ(both.share_bytes, 264 * kKiB);
}

TEST(MemoryUse, IsNothingWhereNothingIsMapped) {
  const MemoryUse none = memory_use(kSmaps, 0x1000, 0x2000);
  EXPECT_EQ(none.private_bytes + none.share_bytes, 0U);
  EXPECT_EQ(memory_use("", 0, UINT64_MAX).share_bytes, 0U);
}

}  // namespace
}  // namespace thaw
