// SPDX-License-Identifier: Apache-2.0
//
// Every strategy on every layout serves a guest that checks every byte.
#include <atomic>
#include <tuple>

#include "thaw/resume/served_vmm_test.h"

namespace thaw {
namespace {

PageServerOptions options_with(Strategy strategy, Fill fill = Fill::kChunk,
                               Prefault prefault = Prefault::kNone) {
  PageServerOptions options;
  options.session.strategy = strategy;
  options.session.fill = fill;
  options.session.prefault = prefault;
  return options;
}

// Keeps prefetches back until it is told to let them go, and tells faults from prefetches.
class HoldPrefetches final : public ChunkSource {
 public:
  explicit HoldPrefetches(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override {
    if (request.priority == Priority::kFault) {
      if (prefetched != released) ++faults_before_release;
      below_.fetch(request, std::move(done));
      return;
    }
    ++prefetched;
    const bool hold = held_.with([&](Held& held) {
      if (held.open) return false;
      held.waiting.emplace_back(request, std::move(done));
      return true;
    });
    if (!hold) pass_on(request, std::move(done));
  }
  void promote(const ChunkId&) override {}
  std::string describe() const override { return "hold"; }

  void release() {
    auto waiting = held_.with([](Held& held) {
      held.open = true;
      return std::exchange(held.waiting, {});
    });
    for (auto& [request, done] : waiting) pass_on(request, std::move(done));
  }

  std::atomic<uint64_t> prefetched{0};
  std::atomic<uint64_t> released{0};
  std::atomic<uint64_t> faults_before_release{0};

 private:
  struct Held {
    bool open = false;
    std::vector<std::pair<ChunkRequest, Completion>> waiting;
  };
  void pass_on(const ChunkRequest& request, Completion done) {
    below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> result) {
      ++released;
      done(std::move(result));
    });
  }

  ChunkSource& below_;
  Guarded<Held> held_;
};

class StrategyRestoreTest : public ServedVmmTest {
 protected:
  SessionSummary serve_one(const PageServerOptions& server, const FakeVmmOptions& vmm) {
    serve(server);
    const FakeVmmResult result = run_vmm(vmm);
    EXPECT_TRUE(result.passed()) << result.describe();
    const Result<void> outcome = join();
    EXPECT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(summaries_.size(), 1u);
    const SessionSummary summary = summaries_.at(0);
    summaries_.clear();
    stop();
    return summary;
  }

  /// A guest that touches exactly these pages, in this order, on one thread.
  FakeVmmOptions toucher_of(const std::vector<uint32_t>& pages) const {
    FakeVmmOptions vmm = vmm_options();
    vmm.touching.order = FakeTouching::Order::kTrace;
    vmm.touching.trace.page_count = image_->map().page_count();
    for (const uint32_t page : pages) vmm.touching.trace.events.push_back({page, page % 2 == 0, 0});
    vmm.touching.threads = 1;
    vmm.touching.every_page = false;
    return vmm;
  }
};

class EveryStrategy
    : public StrategyRestoreTest,
      public testing::WithParamInterface<std::tuple<Layout, Strategy, Fill, Prefault>> {};

TEST_P(EveryStrategy, ServesEveryByte) {
  const auto [layout, strategy, fill, prefault] = GetParam();
  freeze({.layout = layout, .hot_chunks = 20, .memory_pages = 4096});
  record(random_pages(4096, 900, 3));
  FakeVmmOptions vmm = vmm_options();
  vmm.random_removes = 100;
  const SessionSummary summary = serve_one(options_with(strategy, fill, prefault), vmm);
  EXPECT_EQ(summary.strategy, strategy);
  EXPECT_EQ(summary.predicted_pages > 0, strategy != Strategy::kOnDemand);
  EXPECT_EQ(summary.prefetch_errors, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, EveryStrategy,
    testing::Combine(testing::Values(Layout::kLinear, Layout::kHot),
                     testing::Values(Strategy::kOnDemand, Strategy::kReap, Strategy::kFaasnap,
                                     Strategy::kChunks, Strategy::kHot),
                     testing::Values(Fill::kChunk, Fill::kPage), testing::Values(Prefault::kNone)),
    [](const auto& parameter) {
      std::string name = to_string(std::get<1>(parameter.param));
      std::erase(name, '-');
      return name + "_" + to_string(std::get<0>(parameter.param)) +
             (std::get<2>(parameter.param) == Fill::kChunk ? "_chunk" : "_page");
    });

TEST_F(StrategyRestoreTest, AfterReapARightPredictionLeavesNothingToDo) {
  for (const Layout layout : {Layout::kLinear, Layout::kHot}) {
    freeze({.layout = layout, .memory_pages = 4096});
    const std::vector<uint32_t> pages = random_pages(4096, 1500, 4);
    record(pages);
    const SessionSummary summary = serve_one(options_with(Strategy::kReap), toucher_of(pages));
    EXPECT_LE(summary.faults, 1u);  // the one that held the guest
    EXPECT_EQ(summary.hits + summary.misses + summary.unpredicted_faults, 0u);
    EXPECT_EQ(summary.pages_copied + summary.pages_zeroed, 1500u);
  }
}

TEST_F(StrategyRestoreTest, HotThenTheRestThenNobodyIsNeeded) {
  for (const Layout layout : {Layout::kLinear, Layout::kHot}) {
    freeze({.layout = layout, .hot_chunks = 10, .memory_pages = 4096});
    record(random_pages(4096, 300, 5));
    for (const Strategy strategy : {Strategy::kReap, Strategy::kChunks, Strategy::kHot}) {
      serve(options_with(strategy, Fill::kChunk, Prefault::kAll));
      FakeVmmOptions vmm = vmm_options();
      vmm.hold_before_exit = true;
      const auto running = *FakeVmm::start(vmm);
      ASSERT_TRUE(join());  // while the VMM lives on
      EXPECT_EQ(summaries_.at(0).end, SessionEnd::kComplete);
      running->proceed();
      EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
      summaries_.clear();
      stop();
    }
  }
}

TEST_F(StrategyRestoreTest, ReapServesNoFaultBeforeAllIsLoaded) {
  freeze({.memory_pages = 4096});
  record(random_pages(4096, 400, 6));
  std::unique_ptr<HoldPrefetches> hold;
  decorate_ = [&](ChunkSource& source) -> ChunkSource& {
    hold = std::make_unique<HoldPrefetches>(source);
    return *hold;
  };
  serve(options_with(Strategy::kReap));
  const auto running = *FakeVmm::start(vmm_options());
  ASSERT_TRUE(running->wait_for(FakeVmmEvent::Kind::kHandshakeSent));
  while (hold->prefetched == 0) std::this_thread::yield();
  hold->release();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_EQ(hold->faults_before_release, 0u);
  EXPECT_GT(hold->prefetched, 0u);
  stop();
}

TEST_F(StrategyRestoreTest, AGuestThatTouchesNothingThatWasPredictedEndsThePrefetch) {
  freeze({.memory_pages = 8192, .zero_share = 0});
  // 16 pages a chunk: the recording has the lower half, the guest goes through the upper half.
  record(random_pages(4096, 4096, 8));
  std::vector<uint32_t> others;
  for (uint32_t page = 4096; page < 8192; page += 16) others.push_back(page);
  std::unique_ptr<HoldPrefetches> hold;
  decorate_ = [&](ChunkSource& source) -> ChunkSource& {
    hold = std::make_unique<HoldPrefetches>(source);
    return *hold;
  };
  PageServerOptions options = options_with(Strategy::kChunks);
  options.session.prefetch_lanes = 2;
  serve(options);
  FakeVmmOptions vmm = toucher_of(others);
  vmm.hold_before_exit = true;
  const auto running = *FakeVmm::start(vmm);
  ASSERT_TRUE(running->wait_for(FakeVmmEvent::Kind::kReport));
  hold->release();
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_TRUE(summaries_.at(0).prefetch_stopped);
  EXPECT_EQ(summaries_.at(0).predicted_faults, 0u);
  EXPECT_GE(summaries_.at(0).unpredicted_faults, others.size());
  EXPECT_EQ(hold->prefetched, 2u);  // those that were under way
  stop();
}

TEST_F(StrategyRestoreTest, AStoppedPredictionStillLetsTheRestComeIn) {
  freeze({.memory_pages = 8192, .zero_share = 0.3});
  record(random_pages(4096, 4096, 8));
  std::vector<uint32_t> others;
  for (uint32_t page = 4096; page < 8192; page += 16) others.push_back(page);
  std::unique_ptr<HoldPrefetches> hold;
  decorate_ = [&](ChunkSource& source) -> ChunkSource& {
    hold = std::make_unique<HoldPrefetches>(source);
    return *hold;
  };
  PageServerOptions options = options_with(Strategy::kChunks, Fill::kChunk, Prefault::kAll);
  options.session.prefetch_lanes = 2;
  serve(options);
  FakeVmmOptions vmm = toucher_of(others);
  vmm.hold_before_exit = true;
  const auto running = *FakeVmm::start(vmm);
  while (hold->prefetched < 2) std::this_thread::yield();
  ASSERT_TRUE(running->wait_for(FakeVmmEvent::Kind::kReport));
  hold->release();
  ASSERT_TRUE(join());
  EXPECT_EQ(summaries_.at(0).end, SessionEnd::kComplete);
  EXPECT_TRUE(summaries_.at(0).prefetch_stopped);
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  stop();
}

TEST_F(StrategyRestoreTest, ASnapshotThatGoesDuringARestoreFailsClosed) {
  freeze({.layout = Layout::kHot, .hot_chunks = 4, .memory_pages = 4096, .zero_share = 0});
  // What the hot set does not have has gone from the store.
  for (uint32_t chunk = 4; chunk < image_->chunk_count(); ++chunk) {
    ASSERT_TRUE(store_.remove(snapshot_->chunk_key_of(chunk)));
  }
  std::vector<uint32_t> hot;
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    for (const uint32_t index : image_->extents_of(chunk)) {
      hot.push_back(image_->map().extents()[index].page);
    }
  }
  serve(options_with(Strategy::kHot));
  EXPECT_TRUE(run_vmm(toucher_of(hot)).passed());
  ASSERT_TRUE(join());
  summaries_.clear();
  stop();

  serve(options_with(Strategy::kHot));
  const FakeVmmResult result = run_vmm(vmm_options());
  EXPECT_TRUE(result.signal == SIGKILL || result.signal == SIGBUS) << result.describe();
  const Result<void> outcome = join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(outcome.error().message.find("cannot be served"), std::string::npos);
}

TEST_F(StrategyRestoreTest, APrefetchThatFailsIsLeftToTheFaults) {
  freeze({.memory_pages = 4096, .zero_share = 0});
  const std::vector<uint32_t> pages = random_pages(4096, 1000, 9);
  record(pages);
  const uint32_t lost = image_->map().locate(pages[0]).chunk;
  std::vector<uint32_t> others;
  for (const uint32_t page : pages) {
    if (image_->map().locate(page).chunk != lost) others.push_back(page);
  }
  ASSERT_TRUE(store_.remove(snapshot_->chunk_key_of(lost)));
  for (const Strategy strategy : {Strategy::kReap, Strategy::kChunks}) {
    EXPECT_EQ(serve_one(options_with(strategy), toucher_of(others)).prefetch_errors, 1u);
  }
}

TEST_F(StrategyRestoreTest, WithoutAWorkingSetTheServerDoesNotStart) {
  freeze({.memory_pages = 64});
  WorkerPool workers(1, 64);
  const auto stack = *TierStack::create(store_, workers, {});
  const auto server = PageServer::create(socket_path(), image_, stack->top(), workers,
                                         options_with(Strategy::kReap), {});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kInvalid);
}

TEST_F(StrategyRestoreTest, HugePagesAreLoadedWhole) {
  freeze({.layout = Layout::kHot, .hot_chunks = 3, .memory_pages = 4096});
  record(random_pages(4096, 50, 10));
  FakeVmmOptions vmm = vmm_options();
  vmm.page_bytes = 2 * kMiB;
  vmm.hugetlb = false;
  for (const Strategy strategy : {Strategy::kReap, Strategy::kFaasnap, Strategy::kHot}) {
    serve_one(options_with(strategy), vmm);
  }
}

}  // namespace
}  // namespace thaw
