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
  /// Puts a HoldPrefetches in front of the tiers of servers to come.
  void hold_prefetches() {
    decorate_ = [this](ChunkSource& source) -> ChunkSource& {
      hold_ = std::make_unique<HoldPrefetches>(source);
      return *hold_;
    };
  }
  /// Of the fixture's chunks of 16 pages in a linear layout.
  static std::vector<uint32_t> one_page_a_chunk(uint32_t begin, uint32_t end) {
    std::vector<uint32_t> pages;
    for (uint32_t page = begin; page < end; page += 16) pages.push_back(page);
    return pages;
  }

  /// The first page of each run that chunks [begin, end) hold.
  std::vector<uint32_t> pages_of_chunks(uint32_t begin, uint32_t end) const {
    std::vector<uint32_t> pages;
    for (uint32_t chunk = begin; chunk < end; ++chunk) {
      for (const SlotRun& run : image_->slots_of(chunk)) pages.push_back(run.page);
    }
    return pages;
  }

  /// A guest that touches exactly these pages, in this order, on one thread.
  ReplayVmmOptions toucher_of(const std::vector<uint32_t>& pages) const {
    ReplayVmmOptions vmm = vmm_options();
    vmm.touching.order = ReplayTouching::Order::kTrace;
    vmm.touching.trace.page_count = image_->map().page_count();
    for (const uint32_t page : pages) vmm.touching.trace.events.push_back({page, page % 2 == 0, 0});
    vmm.touching.threads = 1;
    vmm.touching.every_page = false;
    return vmm;
  }

  std::unique_ptr<HoldPrefetches> hold_;
};

class EveryStrategy
    : public StrategyRestoreTest,
      public testing::WithParamInterface<std::tuple<Layout, Strategy, Fill, Prefault>> {};

TEST_P(EveryStrategy, ServesEveryByte) {
  const auto [layout, strategy, fill, prefault] = GetParam();
  freeze({.layout = layout, .hot_chunks = 20, .memory_pages = 4096});
  record(random_pages(4096, 900, 3));
  ReplayVmmOptions vmm = vmm_options();
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
      ReplayVmmOptions vmm = vmm_options();
      vmm.hold_before_exit = true;
      const auto running = *ReplayVmm::start(vmm);
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
  hold_prefetches();
  serve(options_with(Strategy::kReap));
  const auto running = *ReplayVmm::start(vmm_options());
  ASSERT_TRUE(running->wait_for(ReplayVmmEvent::Kind::kHandshakeSent));
  while (hold_->prefetched == 0) std::this_thread::yield();
  hold_->release();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_EQ(hold_->faults_before_release, 0u);
  EXPECT_GT(hold_->prefetched, 0u);
  stop();
}

TEST_F(StrategyRestoreTest, AGuestThatTouchesNothingThatWasPredictedEndsThePrefetch) {
  freeze({.memory_pages = 8192, .zero_share = 0});
  // 16 pages a chunk: the recording has the lower half, the guest goes through the upper half.
  record(random_pages(4096, 4096, 8));
  const std::vector<uint32_t> others = one_page_a_chunk(4096, 8192);
  hold_prefetches();
  PageServerOptions options = options_with(Strategy::kChunks);
  options.session.prefetch_lanes = 2;
  serve(options);
  ReplayVmmOptions vmm = toucher_of(others);
  vmm.hold_before_exit = true;
  const auto running = *ReplayVmm::start(vmm);
  ASSERT_TRUE(running->wait_for(ReplayVmmEvent::Kind::kReport));
  hold_->release();
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_TRUE(summaries_.at(0).prefetch_stopped);
  EXPECT_EQ(summaries_.at(0).predicted_faults, 0u);
  EXPECT_GE(summaries_.at(0).unpredicted_faults, others.size());
  EXPECT_EQ(hold_->prefetched, 2u);  // those that were under way
  stop();
}

TEST_F(StrategyRestoreTest, AStoppedPredictionStillLetsTheRestComeIn) {
  freeze({.memory_pages = 8192, .zero_share = 0.3});
  record(random_pages(4096, 4096, 8));
  const std::vector<uint32_t> others = one_page_a_chunk(4096, 8192);
  hold_prefetches();
  PageServerOptions options = options_with(Strategy::kChunks, Fill::kChunk, Prefault::kAll);
  options.session.prefetch_lanes = 2;
  serve(options);
  ReplayVmmOptions vmm = toucher_of(others);
  vmm.hold_before_exit = true;
  const auto running = *ReplayVmm::start(vmm);
  while (hold_->prefetched < 2) std::this_thread::yield();
  ASSERT_TRUE(running->wait_for(ReplayVmmEvent::Kind::kReport));
  hold_->release();
  ASSERT_TRUE(join());
  EXPECT_EQ(summaries_.at(0).end, SessionEnd::kComplete);
  EXPECT_TRUE(summaries_.at(0).prefetch_stopped);
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  stop();
}

TEST_F(StrategyRestoreTest, ASlowSourceHasTheNeighboursFetchedAlong) {
  freeze({.layout = Layout::kHot,
          .hot_chunks = 6,
          .skirt_chunks = 5,
          .memory_pages = 4096,
          .zero_share = 0});
  hold_prefetches();
  serve(options_with(Strategy::kHot, Fill::kAuto));
  ReplayVmmOptions vmm = toucher_of({pages_of_chunks(6, 11).front()});
  vmm.hold_before_touching = true;
  const auto running = *ReplayVmm::start(vmm);
  // The plan's chunks do not come, so those near it are asked for, and no others.
  while (hold_->prefetched < 6 + 5) std::this_thread::yield();
  hold_->release();
  while (hold_->released < 6 + 5) std::this_thread::yield();
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_EQ(hold_->prefetched, 6u + 5u);
  EXPECT_EQ(summaries_.at(0).unpredicted_faults, summaries_.at(0).faults);
  EXPECT_GT(summaries_.at(0).hits, 0u);
  EXPECT_EQ(summaries_.at(0).misses, 0u);
  EXPECT_LT(summaries_.at(0).pages_copied, 11u * 16u);  // they are not installed unasked
  stop();
}

TEST_F(StrategyRestoreTest, AWrongPredictionHasNoNeighbours) {
  freeze({.layout = Layout::kHot,
          .hot_chunks = 6,
          .skirt_chunks = 5,
          .memory_pages = 8192,
          .zero_share = 0});
  hold_prefetches();
  serve(options_with(Strategy::kHot, Fill::kAuto));
  ReplayVmmOptions vmm = toucher_of(pages_of_chunks(11, 200));
  vmm.hold_before_exit = true;
  const auto running = *ReplayVmm::start(vmm);
  ASSERT_TRUE(running->wait_for(ReplayVmmEvent::Kind::kReport));
  const uint64_t before = hold_->prefetched;
  // Several times what a session waits before it calls its source slow.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  hold_->release();
  running->proceed();
  EXPECT_TRUE(running->wait().passed()) << running->wait().describe();
  ASSERT_TRUE(join());
  EXPECT_TRUE(summaries_.at(0).prefetch_stopped);
  EXPECT_EQ(hold_->prefetched, before);
  stop();
}

TEST_F(StrategyRestoreTest, ASnapshotThatGoesDuringARestoreFailsClosed) {
  freeze({.layout = Layout::kHot, .hot_chunks = 4, .memory_pages = 4096, .zero_share = 0});
  // What the hot set does not have has gone from the store.
  for (uint32_t chunk = 4; chunk < image_->chunk_count(); ++chunk) {
    ASSERT_TRUE(store_.remove(snapshot_->chunk_key_of(chunk)));
  }
  serve(options_with(Strategy::kHot));
  EXPECT_TRUE(run_vmm(toucher_of(pages_of_chunks(0, 4))).passed());
  ASSERT_TRUE(join());
  summaries_.clear();
  stop();

  serve(options_with(Strategy::kHot));
  const ReplayVmmResult result = run_vmm(vmm_options());
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
  ReplayVmmOptions vmm = vmm_options();
  vmm.page_bytes = 2 * kMiB;
  vmm.hugetlb = false;
  for (const Strategy strategy : {Strategy::kReap, Strategy::kFaasnap, Strategy::kHot}) {
    serve_one(options_with(strategy), vmm);
  }
}

}  // namespace
}  // namespace thaw
