// SPDX-License-Identifier: Apache-2.0
//
// A VMM that maps a snapshot region by region through the mount, as FaaSnap does (EuroSys 2022):
// data from the file, zeros anonymous, while a loader reads the recorded pages ahead of the guest.
#include <gtest/gtest.h>

#include <set>

#include "thaw/mount/mounted_store_test.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

TEST(RegionMapping, EveryByteIsRightAndLongZeroRunsAskForNothing) {
  SKIP_WITHOUT_FUSE();
  Guarded<std::set<uint64_t>> read;  // outlives the mount that tells it
  MountOptions options = MountedStore::quick();
  options.on_memory_read = [&](const ManifestId&, PageRun pages) {
    read.with([&](auto& heard) {
      for (uint64_t page = pages.page; page < pages.end(); ++page) heard.insert(page);
    });
  };
  MountedStore mounted(options);
  constexpr uint64_t kPages = 20'000;
  const SnapshotFixture fixture = make_snapshot(
      mounted.store,
      {.name = "web", .memory_pages = kPages, .zero_share = 0.7, .mean_run_pages = 60});
  const Bytes& oracle = fixture.oracle(ImageKind::kMemory);
  const TempDir directory;
  ASSERT_TRUE(replace_file(directory.file("oracle"), oracle, 0600));

  ReplayVmmOptions vmm = ReplayVmmOptions::firecracker(Generation::kV1_12);
  vmm.backing = ReplayBacking::kRegions;
  vmm.image_path = directory.file("oracle");
  vmm.mapped_path = mounted.file("web/memory");
  vmm.regions = {{7'001 * kPageBytes, 0}, {(kPages - 7'001) * kPageBytes, 7'001 * kPageBytes}};
  for (uint64_t page = 0; page < kPages; page += 512) {
    vmm.loading_set.push_back({16 * kPageBytes, page * kPageBytes});
  }
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.threads = 3;
  vmm.touching.write_percent = 30;
  const auto running = ReplayVmm::start(vmm);
  ASSERT_TRUE(running) << running.error().message;
  const ReplayVmmResult& result = (*running)->wait();
  EXPECT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_touched, kPages);

  // Zeros were asked for only where they were mapped along with data, or loaded.
  const PageMap& map = fixture.image(ImageKind::kMemory).map;
  uint64_t anonymous = 0;
  read.with([&](const std::set<uint64_t>& heard) {
    map.for_each_run(0, kPages, [&](uint64_t page, const PageLocation& run) {
      if (!run.zero || run.count <= 32) return;
      for (uint64_t at = page; at < page + run.count; ++at) {
        if (at % 512 < 16) continue;
        EXPECT_FALSE(heard.contains(at)) << at;
        ++anonymous;
      }
    });
    for (const Extent& extent : map.extents()) EXPECT_TRUE(heard.contains(extent.page));
  });
  EXPECT_GT(anonymous, kPages / 3);
}

}  // namespace
}  // namespace thaw
