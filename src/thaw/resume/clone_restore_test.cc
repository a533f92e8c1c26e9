// SPDX-License-Identifier: Apache-2.0
//
// Many guests of one snapshot that share a plain cache: every byte of each is right, and what one
// has decrypted the others need not fetch.
#include <atomic>
#include <thread>

#include "thaw/resume/plain_cache.h"
#include "thaw/resume/served_vmm_test.h"

namespace thaw {
namespace {

// Has every chunk until it is closed, and none afterwards.
class ClosableSource final : public ChunkSource {
 public:
  explicit ClosableSource(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return closed ? nullptr : below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override {
    if (!closed) return below_.fetch(request, std::move(done));
    ++refused;
    done(fail(ErrorCode::kNotFound, "no chunk is left"));
  }
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "closable"; }

  std::atomic<bool> closed{false};
  std::atomic<uint64_t> refused{0};

 private:
  ChunkSource& below_;
};

struct Way {
  Strategy strategy;
  Layout layout;
  Fill fill = Fill::kChunk;
};

class CloneRestoreTest : public ServedVmmTest {
 protected:
  static constexpr uint32_t kPages = 4096;

  void freeze_recorded(Layout layout) {
    freeze({.layout = layout, .hot_chunks = 20, .memory_pages = kPages});
    pages_ = random_pages(kPages, 900, 3);
    record(pages_);
  }

  static PageServerOptions options_of(const Way& way, uint32_t clones) {
    PageServerOptions options;
    options.session.strategy = way.strategy;
    options.session.fill = way.fill;
    options.sessions_max = clones;
    options.plain_bytes_max = kPlainBytesMaxDefault;
    return options;
  }

  const PrefetchPlan& plan_of(Strategy strategy) const { return **image_->plan(strategy); }

  /// Reads and writes predicted pages and nothing else.
  ReplayVmmOptions predicted_toucher(Strategy strategy) const {
    ReplayVmmOptions vmm = vmm_options();
    vmm.touching.order = ReplayTouching::Order::kTrace;
    vmm.touching.trace.page_count = kPages;
    for (uint32_t page = 0; page < kPages; ++page) {
      if (!plan_of(strategy).predicted.test(page)) continue;
      vmm.touching.trace.events.push_back({page, page % 3 == 0, 0});
    }
    vmm.touching.threads = 1;
    vmm.touching.every_page = false;
    return vmm;
  }

  /// Waits until the first clone has left all of the plan as plaintext.
  void wait_for_fills(uint64_t pieces) const {
    const auto limit = std::chrono::steady_clock::now() + ReplayVmm::kWaitMax;  // a watchdog
    while (server_->plain_cache()->counters().fills < pieces) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit);
      std::this_thread::yield();
    }
  }

  std::vector<uint32_t> pages_;
};

class EveryWayToClone : public CloneRestoreTest, public testing::WithParamInterface<Way> {};

TEST_P(EveryWayToClone, TheSecondNeedsNoStore) {
  const Way way = GetParam();
  freeze_recorded(way.layout);
  const PrefetchPlan& plan = plan_of(way.strategy);
  ClosableSource* source = nullptr;
  std::unique_ptr<ClosableSource> owned;
  decorate_ = [&](ChunkSource& below) -> ChunkSource& {
    owned = std::make_unique<ClosableSource>(below);
    source = owned.get();
    return *owned;
  };
  constexpr uint32_t kClones = 4;
  serve(options_of(way, kClones));
  ReplayVmmOptions vmm = predicted_toucher(way.strategy);
  vmm.hold_before_exit = true;
  const auto first = std::move(*ReplayVmm::start(vmm));
  wait_for_fills(plan.slices.size() + plan.chunks.size());
  first->proceed();
  EXPECT_TRUE(first->wait().passed()) << first->wait().describe();
  source->closed = true;
  for (uint32_t i = 1; i < kClones; ++i) {
    vmm.hold_before_exit = false;
    const ReplayVmmResult result = run_vmm(vmm);
    EXPECT_TRUE(result.passed()) << result.describe();
  }
  const Result<void> outcome = join();
  EXPECT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(summaries_.size(), kClones);
  EXPECT_EQ(source->refused, 0u);
  for (uint32_t i = 1; i < kClones; ++i) {
    EXPECT_EQ(summaries_[i].misses, 0u);
    EXPECT_EQ(summaries_[i].chunks, 0u);
    EXPECT_EQ(summaries_[i].prefetch_errors, 0u);
    EXPECT_GT(summaries_[i].plain_hits, 0u);
  }
  EXPECT_EQ(server_->plain_cache()->counters().fills, plan.slices.size() + plan.chunks.size());
}

INSTANTIATE_TEST_SUITE_P(
    Ways, EveryWayToClone,
    testing::Values(Way{Strategy::kReap, Layout::kLinear}, Way{Strategy::kFaasnap, Layout::kLinear},
                    Way{Strategy::kChunks, Layout::kLinear}, Way{Strategy::kHot, Layout::kLinear},
                    Way{Strategy::kHot, Layout::kHot}, Way{Strategy::kReap, Layout::kHot},
                    Way{Strategy::kHot, Layout::kHot, Fill::kPage},
                    Way{Strategy::kFaasnap, Layout::kLinear, Fill::kPage}),
    [](const auto& named) {
      return std::string(to_string(named.param.strategy)) + "_" + to_string(named.param.layout) +
             (named.param.fill == Fill::kPage ? "_page" : "_chunk");
    });

TEST_F(CloneRestoreTest, ClonesThatLoadAtOnceAndGiveMemoryBack) {
  freeze_recorded(Layout::kHot);
  for (const Way& way : {Way{Strategy::kHot, Layout::kHot}, Way{Strategy::kReap, Layout::kHot},
                         Way{Strategy::kFaasnap, Layout::kHot, Fill::kPage}}) {
    SCOPED_TRACE(to_string(way.strategy));
    constexpr uint32_t kClones = 10;
    serve(options_of(way, kClones));
    std::vector<std::unique_ptr<ReplayVmm>> vmms;
    for (uint32_t i = 0; i < kClones; ++i) {
      ReplayVmmOptions vmm = vmm_options();
      vmm.touching.seed = i;
      vmm.random_removes = 100;
      vmms.push_back(std::move(*ReplayVmm::start(vmm)));
    }
    for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
    EXPECT_TRUE(join());
    EXPECT_EQ(summaries_.size(), kClones);
    uint64_t plain_hits = 0;
    for (const SessionSummary& summary : summaries_) plain_hits += summary.plain_hits;
    EXPECT_GT(plain_hits, 0u);
    summaries_.clear();
    stop();
  }
}

TEST_F(CloneRestoreTest, ABoundThatIsTooSmallIsKeptAndOnlyCostsTime) {
  freeze_recorded(Layout::kHot);
  const Way way{Strategy::kHot, Layout::kHot};
  PageServerOptions options = options_of(way, 3);
  options.plain_bytes_max = 3 * 16 * kPageBytes;  // of twenty chunks of as many pages
  serve(options);
  for (int i = 0; i < 3; ++i) {
    const ReplayVmmResult result = run_vmm(vmm_options());
    EXPECT_TRUE(result.passed()) << result.describe();
  }
  EXPECT_TRUE(join());
  const PlainCache::Counters& counters = server_->plain_cache()->counters();
  EXPECT_GT(counters.fills, 0u);
  EXPECT_GT(counters.refused, 0u);
  EXPECT_LE(counters.bytes, options.plain_bytes_max);
}

TEST_F(CloneRestoreTest, HugePagesGoWithoutIt) {
  freeze({.memory_pages = 4 * 512, .zero_share = 0.6, .mean_run_pages = 100});
  record(random_pages(4 * 512, 300, 5));
  serve(options_of({Strategy::kChunks, Layout::kLinear}, 2));
  ReplayVmmOptions vmm = vmm_options();
  vmm.page_bytes = kHugePageBytes;
  vmm.hugetlb = false;
  for (int i = 0; i < 2; ++i) {
    const ReplayVmmResult result = run_vmm(vmm);
    EXPECT_TRUE(result.passed()) << result.describe();
  }
  EXPECT_TRUE(join());
  EXPECT_EQ(server_->plain_cache()->counters().fills, 0u);
}

TEST_F(CloneRestoreTest, ChunksThatDoNotVerifyLeaveNothing) {
  freeze_recorded(Layout::kHot);
  for (uint32_t chunk = 0; chunk < image_->chunk_count(); ++chunk) {
    flip_bit(store_, snapshot_->chunk_key_of(chunk));
  }
  serve(options_of({Strategy::kHot, Layout::kHot}, 2));
  ReplayVmmOptions vmm = vmm_options();
  for (int i = 0; i < 2; ++i) {
    const ReplayVmmResult result = run_vmm(vmm);
    // The poisoned page may end it before our signal does.
    EXPECT_TRUE(result.signal == SIGKILL || result.signal == SIGBUS) << result.describe();
  }
  EXPECT_FALSE(join());
  EXPECT_EQ(server_->plain_cache()->counters().fills, 0u);
  EXPECT_EQ(server_->plain_cache()->counters().bytes, 0u);
}

TEST_F(CloneRestoreTest, OffUnlessItIsOfUse) {
  freeze_recorded(Layout::kHot);
  PageServerOptions options = options_of({Strategy::kHot, Layout::kHot}, 1);
  serve(options);
  EXPECT_EQ(server_->plain_cache(), nullptr);
  stop();
  options.sessions_max = 2;
  options.plain_bytes_max = 0;
  serve(options);
  EXPECT_EQ(server_->plain_cache(), nullptr);
}

// A fault thread that follows the guest's threads serves what any other does.
TEST_F(CloneRestoreTest, FollowedThreadsReadTheSame) {
  freeze_recorded(Layout::kLinear);
  for (const bool thread_id : {false, true}) {
    PageServerOptions options;
    options.session.placement.placement = CorePolicy::kFollow;
    options.session.strategy = Strategy::kOnDemand;
    serve(options);
    ReplayVmmOptions vmm = vmm_options();
    vmm.thread_id = thread_id;
    vmm.random_removes = 100;
    const ReplayVmmResult result = run_vmm(vmm);
    EXPECT_TRUE(result.passed()) << result.describe();
    EXPECT_TRUE(join());
    EXPECT_EQ(summaries_.at(0).core_moves > 0, thread_id);
    summaries_.clear();
    stop();
  }
}

}  // namespace
}  // namespace thaw
