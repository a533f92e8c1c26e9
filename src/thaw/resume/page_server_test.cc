// SPDX-License-Identifier: Apache-2.0
//
// VMMs that are served right: every generation's handshake, layouts, fills, prefaults, removals and
// many sessions, every byte compared with the plaintext of the snapshot.
#include "thaw/resume/page_server.h"

#include <set>

#include "thaw/resume/served_vmm_test.h"

namespace thaw {
namespace {

class PageServerTest : public ServedVmmTest {
 protected:
  // One VMM from handshake to exit, all right.
  static PageServerOptions options_with(Fill fill, Prefault prefault = Prefault::kNone) {
    PageServerOptions options;
    options.session.fill = fill;
    options.session.prefault = prefault;
    return options;
  }
};

TEST_F(PageServerTest, EveryGenerationEveryFill) {
  freeze({.memory_pages = 2048});
  for (const Generation generation :
       {Generation::kV1_1, Generation::kV1_7, Generation::kV1_11, Generation::kV1_12}) {
    for (const Fill fill : {Fill::kChunk, Fill::kPage}) {
      SCOPED_TRACE(static_cast<int>(generation) * 10 + static_cast<int>(fill));
      const SessionSummary summary = serve_one(options_with(fill), vmm_options(generation));
      EXPECT_EQ(summary.end, SessionEnd::kVmmExited);
      EXPECT_EQ(summary.pages_present + summary.stale, 2048u);
      EXPECT_GT(summary.faults, 0u);
      EXPECT_EQ(
          summary.misses + summary.hits + summary.joined + summary.zero_faults + summary.stale,
          summary.faults);
    }
  }
}

TEST_F(PageServerTest, AChunkIsInstalledAtItsFirstFault) {
  freeze({.memory_pages = 2048});
  ReplayVmmOptions vmm = vmm_options();
  vmm.touching.order = ReplayTouching::Order::kSequential;
  vmm.touching.threads = 1;
  const SessionSummary summary = serve_one(options_with(Fill::kChunk), vmm);
  // One thread that goes through memory in order waits at most once or twice a chunk.
  EXPECT_LE(summary.misses + summary.hits, image_->chunk_count());
  EXPECT_EQ(summary.pages_copied + summary.pages_zeroed, 2048u);
}

TEST_F(PageServerTest, HotLayoutAndBothExtremesOfChunkSize) {
  for (const Layout layout : {Layout::kLinear, Layout::kHot}) {
    for (const uint32_t chunk_bytes : {16u * 1024, 4u * 1024 * 1024}) {
      freeze({.seed = 3, .chunk_bytes = chunk_bytes, .layout = layout, .memory_pages = 3000});
      for (const Fill fill : {Fill::kChunk, Fill::kPage}) {
        serve_one(options_with(fill), vmm_options());
      }
    }
  }
}

TEST_F(PageServerTest, PrefaultInstallsEverythingAndLetsGo) {
  freeze({.memory_pages = 4096});
  serve(options_with(Fill::kChunk, Prefault::kAll));
  ReplayVmmOptions vmm = vmm_options();
  vmm.hold_before_exit = true;
  Result<std::unique_ptr<ReplayVmm>> started = ReplayVmm::start(vmm);
  ASSERT_TRUE(started) << started.error().message;
  // The server ends by itself while the VMM lives on.
  ASSERT_TRUE(join());
  EXPECT_EQ(summaries_.at(0).end, SessionEnd::kComplete);
  EXPECT_EQ(summaries_.at(0).pages_present + summaries_.at(0).stale, 4096u);
  (*started)->proceed();
  const ReplayVmmResult& result = (*started)->wait();
  EXPECT_TRUE(result.passed()) << result.describe();
}

TEST_F(PageServerTest, PrefaultRacesWithTheGuestsRemovals) {
  freeze({.memory_pages = 8192, .zero_share = 0.3});
  ReplayVmmOptions vmm = vmm_options();
  vmm.random_removes = 300;
  serve_one(options_with(Fill::kChunk, Prefault::kAll), vmm);
}

TEST_F(PageServerTest, RemovedPagesReadAsZeros) {
  freeze({.memory_pages = 4096, .zero_share = 0.2});
  uint64_t removes = 0;
  for (const Fill fill : {Fill::kChunk, Fill::kPage}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      ReplayVmmOptions vmm = vmm_options();
      vmm.touching.order = ReplayTouching::Order::kRepeats;
      vmm.touching.touches = 20'000;
      vmm.touching.seed = seed;
      vmm.random_removes = 400;
      removes += serve_one(options_with(fill), vmm).removes;
    }
  }
  EXPECT_GT(removes, 1000u);
}

TEST_F(PageServerTest, BalloonsBeforeV1_11LeaveWithoutAnEvent) {
  freeze({.memory_pages = 2048, .zero_share = 0.2});
  ReplayVmmOptions vmm = vmm_options(Generation::kV1_7);
  vmm.touching.order = ReplayTouching::Order::kRepeats;
  vmm.touching.touches = 10'000;
  for (uint64_t i = 0; i < 20; ++i) {
    vmm.changes.push_back({ReplayMapChange::Kind::kRemoveByMap, i * 400, i * 100, 20});
    vmm.changes.push_back({ReplayMapChange::Kind::kUnmap, i * 450, i * 100 + 50, 10});
  }
  vmm.touching.every_page = false;
  serve_one(options_with(Fill::kChunk), vmm);
  serve_one(options_with(Fill::kChunk, Prefault::kAll), vmm);
}

TEST_F(PageServerTest, SeveralRegions) {
  freeze({.memory_pages = 3000});
  ReplayVmmOptions vmm = vmm_options();
  // Cut inside chunks, and handed over in another order than that of the image.
  vmm.regions = {{1001 * kPageBytes, 1999 * kPageBytes},
                 {999 * kPageBytes, 0},
                 {1000 * kPageBytes, 999 * kPageBytes}};
  for (const Fill fill : {Fill::kChunk, Fill::kPage}) serve_one(options_with(fill), vmm);
  serve_one(options_with(Fill::kChunk, Prefault::kAll), vmm);
}

// Units of 2 MiB, over hugetlb memory where the machine has some reserved, else over ordinary
// memory.
class HugePagesTest : public PageServerTest, public testing::WithParamInterface<bool> {};

TEST_P(HugePagesTest, AreServedWhole) {
  freeze({.seed = 5, .memory_pages = 6 * 512, .zero_share = 0.7, .mean_run_pages = 200});
  ReplayVmmOptions vmm = vmm_options();
  vmm.page_bytes = kHugePageBytes;
  vmm.hugetlb = GetParam();
  serve(options_with(Fill::kChunk));
  const ReplayVmmResult first = run_vmm(vmm);
  if (first.exit == ReplayVmmExit::kUnsupported) {
    stop();
    GTEST_SKIP() << first.error;
  }
  EXPECT_TRUE(first.passed()) << first.describe();
  stop();
  summaries_.clear();
  serve_one(options_with(Fill::kChunk, Prefault::kAll), vmm);
  vmm.touching.order = ReplayTouching::Order::kRepeats;
  vmm.touching.touches = 3000;
  vmm.random_removes = 12;
  vmm.random_remove_pages_max = 2;
  serve_one(options_with(Fill::kChunk), vmm);
}

INSTANTIATE_TEST_SUITE_P(Memory, HugePagesTest, testing::Bool(),
                         [](const auto& named) { return named.param ? "hugetlb" : "ordinary"; });

TEST_F(PageServerTest, ManySessionsInOneProcess) {
  freeze({.memory_pages = 2048});
  PageServerOptions options = options_with(Fill::kChunk);
  constexpr int kSessions = 12;
  options.sessions_max = kSessions;
  serve(options);
  std::vector<std::unique_ptr<ReplayVmm>> vmms;
  for (int i = 0; i < kSessions; ++i) {
    ReplayVmmOptions vmm = vmm_options();
    vmm.touching.seed = static_cast<uint64_t>(i);
    vmms.push_back(std::move(*ReplayVmm::start(vmm)));
  }
  for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
  EXPECT_TRUE(join());
  EXPECT_EQ(summaries_.size(), static_cast<size_t>(kSessions));
  // Single flight and the memory tier: each chunk came from the origin once.
  std::set<uint32_t> memory_chunks;
  for (const Extent& extent : image_->map().extents()) memory_chunks.insert(extent.chunk);
  EXPECT_EQ(stack_->origin().counters().chunks, memory_chunks.size());
}

TEST_F(PageServerTest, HandshakesInPiecesAndWithExtras) {
  freeze({.memory_pages = 512});
  ReplayVmmOptions pieces = vmm_options();
  pieces.handshake.delivery = ReplayHandshake::Delivery::kTwoPieces;
  pieces.handshake.unknown_field = true;
  serve_one(options_with(Fill::kChunk), pieces);
  ReplayVmmOptions with_memfd = vmm_options();
  with_memfd.handshake.fds = {ReplayHandshake::Passed::kUffd, ReplayHandshake::Passed::kMemfd};
  serve_one(options_with(Fill::kChunk), with_memfd);
}

TEST_F(PageServerTest, AStalledVmmHoldsUpNobody) {
  freeze({.memory_pages = 1024});
  PageServerOptions options = options_with(Fill::kChunk);
  options.sessions_max = 2;
  serve(options);
  ReplayVmmOptions stalled = vmm_options();
  stalled.hold_before_touching = true;
  auto waiting = *ReplayVmm::start(stalled);
  ASSERT_TRUE(waiting->wait_for(ReplayVmmEvent::Kind::kHandshakeSent));
  EXPECT_TRUE(run_vmm(vmm_options()).passed());
  waiting->proceed();
  EXPECT_TRUE(waiting->wait().passed()) << waiting->wait().describe();
  EXPECT_TRUE(join());
}

TEST_F(PageServerTest, PageFillForgetsChunksAndFetchesThemAgain) {
  freeze({.memory_pages = 2048, .zero_share = 0.1});
  PageServerOptions options = options_with(Fill::kPage);
  options.session.held_chunks_max = 2;
  options.session.placement.cores = {0};
  const SessionSummary summary = serve_one(options, vmm_options());
  EXPECT_GT(summary.chunks, image_->chunk_count());
  EXPECT_EQ(summary.pages_present, 2048u);
}

TEST_F(PageServerTest, EverySessionReturnsWhatItTook) {
  freeze({.memory_pages = 1024});
  serve_one(options_with(Fill::kChunk), vmm_options());
  const int before = open_descriptors();
  for (int i = 0; i < 10; ++i) serve_one(options_with(Fill::kChunk), vmm_options());
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(PageServerTest, OptionsThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(options_with(Fill::kPage, Prefault::kAll).validate());
  PageServerOptions no_time;
  no_time.handshake_timeout_ms = 0;
  EXPECT_FALSE(no_time.validate());
  SessionOptions no_cores;
  no_cores.placement.placement = CorePolicy::kCores;
  EXPECT_FALSE(no_cores.validate());
}

}  // namespace
}  // namespace thaw
