// SPDX-License-Identifier: Apache-2.0
//
// Everything wrong at once, from a seed that is printed: a dead node, flipped bits between worker
// and zone, stripes of other content, rotten bits on the disk, an origin that fails every third
// request; guests that write, give memory back and are prefaulted. Every byte is right, or the test
// is red.
#include <fcntl.h>

#include <array>
#include <random>

#include "thaw/cache/cache_format.h"
#include "thaw/resume/tiered_restore_test.h"

namespace thaw {
namespace {

class TieredEverythingTest : public TieredZoneTest {
 protected:
  /// Flips bits anywhere behind the superblock of the closed cache's file.
  void rot(std::mt19937_64& random, unsigned bits) {
    const Fd file = *open_file(cache_path(), O_RDWR);
    const CacheGeometry geometry = *geometry_for(kUsedBytes, kChunkBytes);
    for (unsigned i = 0; i < bits; ++i) {
      const uint64_t at = kSlotsOffset + random() % (geometry.file_bytes() - kSlotsOffset);
      std::array<std::byte, 1> byte{};
      ASSERT_TRUE(read_exact_at(file.get(), at, byte, cache_path()));
      byte[0] ^= static_cast<std::byte>(1 << random() % 8);
      ASSERT_TRUE(write_all_at(file.get(), at, byte, cache_path()));
    }
  }

  static constexpr uint64_t kUsedBytes = 3 * kMiB;
};

TEST_F(TieredEverythingTest, EveryByteIsRight) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  ASSERT_NO_FATAL_FAILURE(start_zone(6, {}, /*proxied=*/true));
  const auto snapshot = freeze();
  ZoneOptions zone = patient_zone();
  zone.get_timeout_ms = 100;
  zone.node.stall_timeout_ms = 50;
  zone.node.connect_timeout_ms = 500;
  TierOptions options = with_zone(zone);
  options.local = with_local().local;
  options.local->cache.bytes_max = kUsedBytes;  // less than the image: it evicts

  constexpr unsigned kRounds = 4;
  constexpr uint32_t kVmms = 3;
  uint64_t rotten = 0;
  uint64_t corrupt_stripes = 0;
  uint64_t retries = 0;
  uint64_t evictions = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    if (round > 0) rot(random, 200);
    for (const auto& proxy : proxies_) {
      proxy->set_plan({.seed = random(), .to_client = {.flip_every_bytes = 100'000}});
    }
    if (round == 2) nodes_[random() % nodes_.size()]->kill();
    server_->set_chaos({.seed = random(),
                        .error_rate = 0.1,
                        .throttle_rate = 0.1,
                        .reset_rate = 0.05,
                        .cut_rate = 0.05,
                        .only = {S3Operation::kGet}});
    SCOPED_TRACE(server_->describe());
    open_tiers(options);
    PageServerOptions served;
    served.sessions_max = kVmms;
    served.session.fill = round % 2 == 0 ? Fill::kChunk : Fill::kPage;
    if (round == 2) served.session.prefault = Prefault::kAll;
    const auto server = serve(*snapshot, served);
    std::vector<std::unique_ptr<ReplayVmm>> vmms;
    for (uint32_t i = 0; i < kVmms; ++i) {
      ReplayVmmOptions vmm = server->vmm_options();
      vmm.touching.seed = random();
      vmm.random_removes = 20;
      vmms.push_back(*ReplayVmm::start(vmm));
    }
    for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
    const Result<void> outcome = server->join();
    EXPECT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(server->summaries().size(), kVmms);
    stack_->finish_fills();
    const DiskCacheStatus disk = stack_->disk_cache()->status();
    rotten += disk.corrupt + disk.headers_damaged;
    evictions += disk.evictions;
    corrupt_stripes += zone_sum(&ZoneNodeStatus::corrupt);
    retries += store_->counters().retries;
    close_tiers();
  }
  EXPECT_GT(rotten, 0u);
  EXPECT_GT(corrupt_stripes, 0u);
  EXPECT_GT(retries, 0u);
  EXPECT_GT(evictions, 0u);
}

}  // namespace
}  // namespace thaw
