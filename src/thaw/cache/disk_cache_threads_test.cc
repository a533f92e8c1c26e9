// SPDX-License-Identifier: Apache-2.0
//
// Readers, writers, droppers and a scrubber at once on a cache far too small for them: every byte
// that is read is compared. Run under the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "thaw/cache/disk_cache_test.h"

namespace thaw {
namespace {

class DiskCacheThreadsTest : public DiskCacheTest {
 protected:
  static constexpr uint64_t kChunks = 60;
  static constexpr int kThreads = 4;
  static constexpr int kSteps = 400;

  /// Each thread does kSteps at random; `damage` now and then writes over a slot behind the cache's
  /// back.
  void run(bool damage) {
    set_slots(8);
    open_cache();
    std::atomic<uint64_t> read{0};
    std::atomic<uint64_t> written{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([this, thread, damage, &read, &written] {
        std::mt19937_64 random(static_cast<uint64_t>(thread));
        for (int step = 0; step < kSteps; ++step) {
          const uint64_t chunk = std::min(random() % kChunks, random() % kChunks);
          const uint64_t what = random() % 100;
          if (what < 60) {
            if (hits(chunk)) {
              ++read;
            } else if (fill(chunk) == FillOutcome::kWritten) {
              ++written;
            }
          } else if (what < 90) {
            if (fill(chunk) == FillOutcome::kWritten) ++written;
          } else if (what < 96) {
            cache_->drop(id_of(chunk));
          } else if (damage) {
            damage_something(random());
          } else {
            static_cast<void>(cache_->status());
          }
        }
      });
    }
    while (written + read < kSteps / 2) static_cast<void>(cache_->scrub({}));
    for (std::thread& thread : threads) thread.join();
    const DiskCacheStatus status = cache_->status();
    EXPECT_EQ(status.hits, read);
    EXPECT_EQ(status.inserts, written);
    EXPECT_GT(status.evictions, 0u);
    EXPECT_EQ(status.read_errors + status.write_errors, 0u);
    EXPECT_TRUE(damage || status.corrupt == 0);
    const uint64_t used = status.slots_used;
    open_cache();
    EXPECT_LE(cache_->status().slots_used, used + status.corrupt);
    for (uint64_t chunk = 0; chunk < kChunks; ++chunk) hits(chunk);
  }

  void damage_something(uint64_t random) const {
    const CacheGeometry geometry{kSlotBytes, 8};
    const Fd fd = *open_file(options_.path, O_WRONLY);
    const Bytes wrong(1 + random % 600, static_cast<std::byte>(random >> 20));
    const uint64_t at = geometry.slot_offset(0) +
                        (random >> 8) % (geometry.file_bytes() - kSlotsOffset - wrong.size());
    EXPECT_TRUE(write_all_at(fd.get(), at, wrong, options_.path));
  }
};

TEST_F(DiskCacheThreadsTest, ReadersNeverSeeAWrongByte) { run(false); }

TEST_F(DiskCacheThreadsTest, NorOnADiskThatRots) { run(true); }

TEST_F(DiskCacheThreadsTest, NorThroughThePageCache) {
  options_.direct_io = false;
  run(true);
}

}  // namespace
}  // namespace thaw
