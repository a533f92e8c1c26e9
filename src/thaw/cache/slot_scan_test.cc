// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/slot_scan.h"

#include <gtest/gtest.h>

#include <set>

#include "thaw/cache/disk_cache_test.h"

namespace thaw {
namespace {

class SlotScanTest : public DiskCacheTest {
 protected:
  static constexpr CacheGeometry kGeometry{kChunkBytesMin, 300};

  SlotScanTest() {
    Fd fd = *open_file(options_.path, O_RDWR | O_CREAT);
    for (uint32_t slot = 0; slot < kGeometry.slots; ++slot) {
      const AlignedBuffer header = chunk_bytes(slot, 1);
      EXPECT_TRUE(write_all_at(fd.get(), kGeometry.slot_offset(slot), header.span(), "scan"));
    }
    file_ = std::make_unique<FdBlockFile>(std::move(fd), options_.path);
  }

  /// The slots whose header came, each once and right; those that came empty are in `unreadable`.
  std::set<uint32_t> scan(BlockFile& file, const CacheGeometry& geometry,
                          const SlotScanOptions& options, std::set<uint32_t>* unreadable) {
    std::set<uint32_t> seen;
    scan_headers(file, geometry, options, [&](uint32_t slot, ByteSpan header) {
      EXPECT_TRUE(seen.insert(slot).second) << slot;
      if (header.empty()) {
        unreadable->insert(slot);
      } else {
        EXPECT_TRUE(equal_bytes(header, chunk_bytes(slot, 1).span())) << slot;
      }
    });
    return seen;
  }

  std::unique_ptr<FdBlockFile> file_;
};

TEST_F(SlotScanTest, EverySlotOnceByEveryWay) {
  for (const SlotScanOptions& options :
       {SlotScanOptions{}, SlotScanOptions{.queue_depth = 1}, SlotScanOptions{.queue_depth = 7},
        SlotScanOptions{.queue_depth = 100'000}, SlotScanOptions{.io_uring = false, .threads = 1},
        SlotScanOptions{.io_uring = false, .threads = 3}, SlotScanOptions{.queue_depth = 0}}) {
    std::set<uint32_t> unreadable;
    EXPECT_EQ(scan(*file_, kGeometry, options, &unreadable).size(), kGeometry.slots);
    EXPECT_TRUE(unreadable.empty());
  }
}

TEST_F(SlotScanTest, SlotsPastTheEndAreUnreadable) {
  constexpr CacheGeometry kLonger{kChunkBytesMin, kGeometry.slots + 10};
  for (const bool io_uring : {false, true}) {
    std::set<uint32_t> unreadable;
    EXPECT_EQ(scan(*file_, kLonger, {.io_uring = io_uring}, &unreadable).size(), kLonger.slots);
    EXPECT_EQ(unreadable.size(), 10u);
    EXPECT_EQ(*unreadable.begin(), kGeometry.slots);
  }
}

TEST_F(SlotScanTest, ADiskThatFailsHereAndThere) {
  hooks_.before_read = [](uint64_t offset) -> Result<void> {
    if (offset == kGeometry.slot_offset(17)) return fail_errno("read", EIO);
    return {};
  };
  FaultyBlockFile faulty(*file_, hooks_);
  std::set<uint32_t> unreadable;
  EXPECT_EQ(scan(faulty, kGeometry, {}, &unreadable).size(), kGeometry.slots);
  EXPECT_EQ(unreadable, std::set<uint32_t>{17});
}

}  // namespace
}  // namespace thaw
