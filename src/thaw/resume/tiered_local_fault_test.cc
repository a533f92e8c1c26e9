// SPDX-License-Identifier: Apache-2.0
//
// Restores over a local disk that is full, read-only, rotten, taken away or in somebody else's
// hands, and after a SIGKILL in the middle of filling it. The guest's memory is right each time,
// and what the disk lost comes from the origin.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "thaw/cache/cache_format.h"
#include "thaw/cache/disk_cache_test.h"
#include "thaw/resume/tiered_restore_test.h"

namespace thaw {
namespace {

class TieredLocalFaultTest : public TieredRestoreTest {
 protected:
  void SetUp() override {
    TieredRestoreTest::SetUp();
    if (IsSkipped()) return;
    snapshot_ = freeze();
    count_anew();
  }
  uint64_t chunks() const { return snapshot_->chunk_count(); }
  const LocalTier::Counters& local() const { return stack_->local()->counters(); }
  DiskCacheStatus cache() const { return stack_->disk_cache()->status(); }
  /// Every chunk came from the disk or else, once, from the origin.
  void expect_each_chunk_once() {
    EXPECT_EQ(local().hits + origin_gets(), chunks());
    EXPECT_EQ(local().misses, origin_gets());
  }
  /// A restore from the same tiers, which must hold everything again.
  void expect_healed() {
    stack_->finish_fills();
    count_anew();
    expect_restored(*snapshot_);
    EXPECT_EQ(origin_gets(), 0u);
  }
  /// Flips a bit in so many used slots of the closed cache's file, `offset` into each.
  void flip_bits(uint32_t slots, uint64_t offset) {
    const CacheGeometry geometry = *geometry_for(kCacheBytes, kChunkBytes);
    const Fd file = *open_file(cache_path(), O_RDWR);
    for (uint32_t slot = 0; slot < geometry.slots && slots > 0; ++slot) {
      std::array<std::byte, kSlotHeaderFixedBytes> header{};
      const uint64_t begin = geometry.slot_offset(slot);
      ASSERT_TRUE(read_exact_at(file.get(), begin, header, cache_path()));
      if (std::ranges::all_of(header, [](std::byte b) { return b == std::byte{0}; })) continue;
      std::array<std::byte, 1> byte{};
      ASSERT_TRUE(read_exact_at(file.get(), begin + offset, byte, cache_path()));
      byte[0] ^= std::byte{4};
      ASSERT_TRUE(write_all_at(file.get(), begin + offset, byte, cache_path()));
      --slots;
    }
    ASSERT_EQ(slots, 0u) << "the cache has fewer chunks";
  }

  std::unique_ptr<TieredSnapshot> snapshot_;
};

TEST_F(TieredLocalFaultTest, AWarmDiskAsksTheOriginForNothing) {
  warm(*snapshot_, with_local());
  open_tiers(with_local());
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), 0u);
  EXPECT_EQ(local().hits, chunks());
}

TEST_F(TieredLocalFaultTest, RottenBitsInTheFileAreFoundAndFetchedAgain) {
  constexpr uint32_t kRotten = 12;
  warm(*snapshot_, with_local());
  flip_bits(kRotten, geometry_for(kCacheBytes, kChunkBytes)->header_bytes() + 100);
  open_tiers(with_local());
  expect_restored(*snapshot_);
  EXPECT_EQ(cache().corrupt, kRotten);
  EXPECT_EQ(origin_gets(), kRotten);
  expect_each_chunk_once();
  expect_healed();
}

// Page by page with neighbours, a fault reads a part of its chunk; the chunk as a whole where the
// guest comes back to it or the part is damaged.
TEST_F(TieredLocalFaultTest, PartsOfChunksAreRightAndRottenOnesAreFetchedWhole) {
  constexpr uint32_t kRotten = 12;
  PageServerOptions around;
  around.session.fill = Fill::kAround;
  warm(*snapshot_, with_local());
  flip_bits(kRotten, geometry_for(kCacheBytes, kChunkBytes)->header_bytes() + 100);
  open_tiers(with_local());
  expect_restored(*snapshot_, {}, around);
  EXPECT_GT(local().parts, 0u);
  EXPECT_EQ(cache().corrupt, kRotten);
  EXPECT_EQ(origin_gets(), kRotten);
  stack_->finish_fills();
  count_anew();
  expect_restored(*snapshot_, {}, around);
  EXPECT_EQ(origin_gets(), 0u);
}

TEST_F(TieredLocalFaultTest, AFileThatIsCutWhilePartsAreReadIsLeft) {
  PageServerOptions around;
  around.session.fill = Fill::kAround;
  warm(*snapshot_, with_local());
  open_tiers(with_local());
  expect_restored(
      *snapshot_,
      [this] {
        EXPECT_TRUE(wait_until([this] { return local().parts > 3; }));
        EXPECT_EQ(::truncate(cache_path().c_str(), 0), 0);
      },
      around);
  EXPECT_EQ(cache().corrupt + cache().read_errors, origin_gets());
}

TEST_F(TieredLocalFaultTest, RottenHeadersAreChunksThatAreNotThere) {
  constexpr uint32_t kRotten = 7;
  warm(*snapshot_, with_local());
  flip_bits(kRotten, 33);
  open_tiers(with_local());
  EXPECT_EQ(cache().headers_damaged, kRotten);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), kRotten);
  expect_each_chunk_once();
  expect_healed();
}

TEST_F(TieredLocalFaultTest, AFileThatIsRemovedServesOn) {
  open_tiers(with_local());
  expect_restored(*snapshot_);
  stack_->finish_fills();
  count_anew();
  ASSERT_TRUE(std::filesystem::remove(cache_path()));
  EXPECT_FALSE(cache().in_place);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), 0u);
  EXPECT_EQ(local().hits, chunks());
}

TEST_F(TieredLocalFaultTest, AFileThatIsCutInTheMiddleOfARestoreIsFilledAgain) {
  warm(*snapshot_, with_local());
  open_tiers(with_local());
  turnstile_->close_after(chunks() / 2);
  expect_restored(*snapshot_, [this] {
    EXPECT_TRUE(wait_until([this] { return turnstile_->held() > 0; }));
    EXPECT_EQ(::truncate(cache_path().c_str(), 0), 0);
    turnstile_->open();
  });
  EXPECT_GT(origin_gets(), 0u);
  EXPECT_EQ(cache().corrupt + cache().read_errors, origin_gets());
  expect_each_chunk_once();
  count_anew();
  // What was served from the disk before the cut is lost as well.
  expect_restored(*snapshot_);
  EXPECT_GT(origin_gets(), 0u);
  expect_healed();
}

TEST_F(TieredLocalFaultTest, ADiskThatTakesNoMoreWritesIsWrittenToNoMore) {
  FaultyBlockFile::Hooks hooks;
  TierOptions options = with_local();
  options.local->cache.write_errors_max = 4;
  options.local->cache.wrap_file = [&hooks](BlockFile& real) {
    return std::make_unique<FaultyBlockFile>(real, hooks);
  };
  open_tiers(options);
  hooks.before_write = [](uint64_t) -> Result<void> {
    return fail(ErrorCode::kExhausted, "No space left on device");
  };
  expect_restored(*snapshot_);
  stack_->finish_fills();
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(cache().write_errors, 4u);
  EXPECT_TRUE(cache().writes_paused);
  EXPECT_EQ(cache().paused, chunks() - 4);
  count_anew();
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(local().hits, 0u);
  close_tiers();  // before the hooks
}

TEST_F(TieredLocalFaultTest, ADiskThatCannotBeReadIsAMiss) {
  warm(*snapshot_, with_local());
  FaultyBlockFile::Hooks hooks;
  TierOptions options = with_local();
  options.local->cache.wrap_file = [&hooks](BlockFile& real) {
    return std::make_unique<FaultyBlockFile>(real, hooks);
  };
  open_tiers(options);
  ASSERT_EQ(cache().slots_used, chunks());
  hooks.before_read = [](uint64_t) -> Result<void> {
    return fail(ErrorCode::kUnavailable, "Input/output error");
  };
  expect_restored(*snapshot_);
  EXPECT_EQ(cache().read_errors, chunks());
  EXPECT_EQ(origin_gets(), chunks());
  close_tiers();
}

/// With a small file system of its own.
class TieredSmallDiskTest : public TieredLocalFaultTest {
 protected:
  void SetUp() override {
    TieredLocalFaultTest::SetUp();
    if (IsSkipped()) return;
    // In a mount namespace of our own, so that nothing stays mounted whatever happens.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk_.path().c_str(), "tmpfs", 0, "size=4m,mode=0700") != 0) {
      GTEST_SKIP() << "mounting is not permitted: " << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    TieredLocalFaultTest::TearDown();
    if (mounted_) {
      EXPECT_EQ(::umount2(disk_.path().c_str(), 0), 0) << std::strerror(errno);
    }
  }
  TierOptions with_small_disk(uint64_t bytes_max) const {
    TierOptions options = with_local();
    options.local->cache.path = disk_.file("cache");
    options.local->cache.bytes_max = bytes_max;
    return options;
  }

  TempDir disk_;
  bool mounted_ = false;
};

TEST_F(TieredSmallDiskTest, AFullDiskIsDoneWithout) {
  open_tiers(with_small_disk(kCacheBytes));
  EXPECT_EQ(stack_->local(), nullptr);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
}

TEST_F(TieredSmallDiskTest, ACacheSmallerThanTheImageKeepsWhatItCan) {
  open_tiers(with_small_disk(2 * kMiB));
  ASSERT_NE(stack_->local(), nullptr);
  for (int round = 0; round < 3; ++round) {
    const uint64_t hits = local().hits;
    count_anew();
    expect_restored(*snapshot_);
    stack_->finish_fills();
    EXPECT_EQ(local().hits - hits + origin_gets(), chunks());
  }
  EXPECT_GT(cache().evictions, 0u);
}

TEST_F(TieredSmallDiskTest, AReadOnlyDiskIsDoneWithout) {
  ASSERT_EQ(::mount(nullptr, disk_.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  open_tiers(with_small_disk(2 * kMiB));
  EXPECT_EQ(stack_->local(), nullptr);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
}

/// With processes that were forked before anything had a thread, so that they may start their own.
class TieredTwoProcessesTest : public TieredLocalFaultTest {
 protected:
  static constexpr unsigned kChildren = 4;
  /// What a child waits for.
  struct Order {
    std::array<char, 64> endpoint{};
    uint64_t inserts = 0;  // it says so when its cache has taken so many chunks
  };

  void SetUp() override {
    for (Child& child : children_) ASSERT_NO_FATAL_FAILURE(fork_child(child));
    TieredLocalFaultTest::SetUp();
  }
  void TearDown() override {
    for (Child& child : children_) end(child);
    TieredLocalFaultTest::TearDown();
  }

  struct Child {
    pid_t pid = -1;
    Fd orders;
    Fd news;
  };
  /// Has the child restore from an empty disk cache, over and over; returns as it has filled so
  /// many slots, and goes on.
  void let_fill(Child& child, uint64_t inserts) {
    Order order;
    order.inserts = inserts;
    const std::string endpoint = server_->endpoint();
    ASSERT_LT(endpoint.size(), order.endpoint.size());
    std::ranges::copy(endpoint, order.endpoint.begin());
    ASSERT_EQ(::write(child.orders.get(), &order, sizeof order),
              static_cast<ssize_t>(sizeof order));
    char news = 0;
    ASSERT_EQ(::read(child.news.get(), &news, 1), 1) << "the child has ended";
  }
  /// SIGKILL, to its VMM as well.
  static void end(Child& child) {
    if (child.pid <= 0) return;
    ::kill(-child.pid, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child.pid, &status, 0), child.pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    child.pid = -1;
  }

  std::array<Child, kChildren> children_;

 private:
  void fork_child(Child& child) {
    std::array<int, 2> orders{};
    std::array<int, 2> news{};
    ASSERT_EQ(::pipe2(orders.data(), O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(news.data(), O_CLOEXEC), 0);
    const pid_t parent = ::getpid();
    child.pid = ::fork();
    ASSERT_GE(child.pid, 0);
    if (child.pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, 0);
      if (::getppid() != parent) ::_exit(1);
      ::close(orders[1]);
      fill_until_killed(Fd(orders[0]), Fd(news[1]));
      ::_exit(1);
    }
    ::setpgid(child.pid, child.pid);
    child.orders = Fd(orders[1]);
    child.news = Fd(news[0]);
    ::close(orders[0]);
    ::close(news[1]);
  }

  void fill_until_killed(const Fd& orders, const Fd& news) {
    Order order;
    if (::read(orders.get(), &order, sizeof order) != static_cast<ssize_t>(sizeof order)) {
      ::_exit(1);
    }
    set_log_level(LogLevel::kError);
    s3_.bucket = S3ServerOptions{}.buckets.at(0);
    s3_.endpoint = order.endpoint.data();
    s3_.region = S3Account{}.region;
    MemoryStore made;
    snapshot_ = make(made, kPages, kSeed);
    sockets_ = static_cast<unsigned>(::getpid());
    open_tiers(with_local());
    if (HasFailure() || stack_->local() == nullptr) ::_exit(2);
    for (bool told = false;;) {
      const Restored restored = restore(*snapshot_, [&] {
        if (told || !wait_until([&] { return cache().inserts >= order.inserts; })) return;
        if (::write(news.get(), "", 1) != 1) ::_exit(3);
        told = true;
      });
      if (!restored.vmm.passed()) ::_exit(4);
      stack_->finish_fills();
      for (uint32_t i = 0; i < snapshot_->chunk_count(); ++i) {
        stack_->disk_cache()->drop(snapshot_->chunk(i).id);
      }
    }
  }

  // Those of freeze().
  static constexpr uint64_t kPages = 1024;
  static constexpr uint64_t kSeed = 1;
};

TEST_F(TieredTwoProcessesTest, AKillInTheMiddleOfFillsLeavesNoWrongByte) {
  uint64_t found = 0;
  for (unsigned round = 0; round < kChildren; ++round) {
    SCOPED_TRACE(round);
    std::filesystem::remove(cache_path());
    ASSERT_NO_FATAL_FAILURE(let_fill(children_[round], 1 + round * chunks() / kChildren));
    end(children_[round]);
    count_anew();
    open_tiers(with_local());
    ASSERT_NE(stack_->local(), nullptr);
    expect_restored(*snapshot_);
    // Not counted at the server: requests of the dead may still arrive there.
    EXPECT_EQ(local().hits + stack_->origin().counters().requests, chunks());
    found += local().hits;
    stack_->finish_fills();
    expect_restored(*snapshot_);
    EXPECT_EQ(local().fills, stack_->origin().counters().requests);
    EXPECT_EQ(local().hits + local().fills, 2 * chunks());
    close_tiers();
  }
  EXPECT_GT(found, 0u) << "no child ever filled a slot";
}

TEST_F(TieredTwoProcessesTest, ADiskCacheThatAnotherProcessHoldsIsDoneWithout) {
  ASSERT_NO_FATAL_FAILURE(let_fill(children_[0], 1));
  open_tiers(with_local());
  EXPECT_EQ(stack_->local(), nullptr);
  expect_restored(*snapshot_);
  EXPECT_EQ(stack_->origin().counters().chunks, chunks());
  end(children_[0]);
  open_tiers(with_local());
  EXPECT_NE(stack_->local(), nullptr);
  expect_restored(*snapshot_);
}

}  // namespace
}  // namespace thaw
