// SPDX-License-Identifier: Apache-2.0
//
// The fixture of the fault matrix: snapshots in a bucket of the strict S3 server, a whole stack of
// tiers over it (local disk, a zone of real memcached servers), and replay VMMs that resume through
// it and compare every byte of their memory with the plaintext. A test breaks something, restores,
// and proves by counters that what it broke was really met.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/log.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/page_server.h"
#include "thaw/s3/served_store_test.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/tcp_proxy.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"
#include "thaw/zone/memcached_process.h"

namespace thaw {

/// Waits for what is sure to come: the limit is passed only by a defect.
inline bool wait_until(const std::function<bool()>& condition) {
  constexpr std::chrono::seconds kPatience(60);
  constexpr std::chrono::milliseconds kPoll(2);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

/// Stands above the tiers. Lets a number of fetches pass and holds the others until it is opened,
/// so that a test can break something in the middle of a restore, whatever the speed of the
/// machine. Thread-safe.
class Turnstile final : public ChunkSource {
 public:
  explicit Turnstile(ChunkSource& below) : below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override {
    const bool passes = state_.with([&](State& state) {
      if (state.passed < state.passes_max) {
        ++state.passed;
        return true;
      }
      state.held.emplace_back(request, done);
      return false;
    });
    if (passes) below_.fetch(request, counted(request, std::move(done)));
  }
  /// Passes if no fetch would be held.
  bool fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) override {
    const bool passes =
        state_.with([](const State& state) { return state.passes_max == UINT64_MAX; });
    return passes && below_.fetch_part(request, part, std::move(done));
  }
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "turnstile -> " + below_.describe(); }

  void close_after(uint64_t passes_max) {
    state_.with([&](State& state) { state.passes_max = passes_max; });
  }
  void open() {
    const auto held = state_.with([](State& state) {
      state.passes_max = UINT64_MAX;
      state.passed += state.held.size();
      return std::exchange(state.held, {});
    });
    for (const auto& [request, done] : held) below_.fetch(request, counted(request, done));
  }
  /// Fetches that went down.
  uint64_t passed() const {
    return state_.with([](const State& state) { return state.passed; });
  }
  uint64_t held() const {
    return state_.with([](const State& state) { return state.held.size(); });
  }
  /// Of those that went down, the faults that have not been answered.
  uint64_t faults_under_way() const { return faults_.load(); }

 private:
  struct State {
    uint64_t passes_max = UINT64_MAX;
    uint64_t passed = 0;
    std::deque<std::pair<ChunkRequest, Completion>> held;
  };
  Completion counted(const ChunkRequest& request, Completion done) {
    if (request.priority != Priority::kFault) return done;
    ++faults_;
    return [this, done = std::move(done)](Result<ChunkRef> result) {
      --faults_;
      done(std::move(result));
    };
  }

  ChunkSource& below_;
  std::atomic<uint64_t> faults_{0};
  Guarded<State> state_;
};

/// A snapshot in the bucket, all of whose chunks are memory.
struct TieredSnapshot {
  SnapshotFixture fixture;
  std::shared_ptr<const ResumeImage> image;
  std::string image_path;  // the plaintext, for the replay VMM

  uint64_t chunk_count() const { return image->chunk_count(); }
  const ChunkEntry& chunk(uint32_t number) const {
    return fixture.manifest.clear.chunks.at(number);
  }
};

/// A page server of one snapshot on a thread of its own.
class TieredServer {
 public:
  TieredServer(std::string socket_path, const TieredSnapshot& snapshot, ChunkSource& source,
               WorkerPool& workers, const PageServerOptions& options)
      : socket_path_(std::move(socket_path)), snapshot_(snapshot) {
    PageServer::Observer observer;
    observer.session_started = [this](const SessionSummary&) { ++started_; };
    observer.session_ended = [this](const SessionSummary& s) { summaries_.push_back(s); };
    auto server =
        PageServer::create(socket_path_, snapshot.image, source, workers, options, observer);
    CHECK(server.has_value());
    server_ = std::move(*server);
    thread_ = std::thread([this] { outcome_ = server_->run(); });
  }
  ~TieredServer() {
    server_->stop();
    join();
  }

  ReplayVmmOptions vmm_options() const {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = socket_path_;
    options.image_path = snapshot_.image_path;
    options.regions = {{snapshot_.image->memory().bytes, 0}};
    options.touching.order = ReplayTouching::Order::kPermutation;
    options.touching.threads = 3;
    options.touching.write_percent = 40;
    options.touching.every_page = true;
    return options;
  }
  void stop() { server_->stop(); }
  /// Waits until it has served its sessions; then summaries() may be read.
  Result<void> join() {
    if (thread_.joinable()) thread_.join();
    return outcome_;
  }
  uint32_t started() const { return started_.load(); }
  const std::vector<SessionSummary>& summaries() const { return summaries_; }

 private:
  const std::string socket_path_;
  const TieredSnapshot& snapshot_;
  std::unique_ptr<PageServer> server_;
  std::thread thread_;
  std::atomic<uint32_t> started_{0};
  Result<void> outcome_;
  std::vector<SessionSummary> summaries_;
};

/// How a restore ended, at both ends.
struct Restored {
  ReplayVmmResult vmm;
  Result<void> outcome;
  std::vector<SessionSummary> sessions;
};

class TieredRestoreTest : public testing::Test {
 protected:
  static constexpr uint32_t kChunkBytes = 64 * 1024;
  static constexpr uint32_t kPagesAChunk = kChunkBytes / kPageBytes;
  static constexpr uint64_t kCacheBytes = 24 * kMiB;
  static constexpr uint32_t kFillsMax = 4096;  // no fill is refused

  void SetUp() override {
    if (const auto uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE); !uffd) {
      GTEST_SKIP() << uffd.error().message;
    }
    // What is logged here is what the tests provoke.
    set_log_level(LogLevel::kError);
    server_ = start_server();
    s3_ = options_for(*server_);
    s3_.attempts_max = 20;
    s3_.backoff_base_ms = 1;
    s3_.backoff_cap_ms = 20;
    s3_.retry_share = 1;
    s3_.retry_reserve = 1000;
    s3_.hedge_percentile = 0;
  }
  void TearDown() override {
    close_tiers();
    if (server_) {
      EXPECT_THAT(server_->violations(), testing::IsEmpty());
    }
  }

  /// Makes a snapshot of `pages` and puts it into the bucket.
  std::unique_ptr<TieredSnapshot> freeze(uint64_t pages = 1024, uint64_t seed = 1) {
    MemoryStore made;
    auto snapshot = make(made, pages, seed);
    upload(made);
    return snapshot;
  }
  /// The same chunks each time; only the manifest differs.
  std::unique_ptr<TieredSnapshot> make(MemoryStore& made, uint64_t pages, uint64_t seed) {
    SnapshotFixtureOptions options;
    options.name = "snapshot-" + std::to_string(seed);
    options.seed = seed;
    options.chunk_bytes = kChunkBytes;
    options.memory_pages = pages;
    options.zero_share = 0.2;
    options.vmstate_bytes = 0;
    auto snapshot = std::make_unique<TieredSnapshot>(make_snapshot(made, options));
    snapshot->image_path = dir_.file("memory-" + std::to_string(seed));
    CHECK(replace_file(snapshot->image_path, snapshot->fixture.oracle(ImageKind::kMemory), 0600)
              .has_value());
    const Bytes manifest =
        *made.get(manifest_key(options.root_id, snapshot->fixture.target.manifest), kGiB);
    snapshot->image = *ResumeImage::make(*decode_manifest(manifest, snapshot->fixture.keys));
    return snapshot;
  }
  void upload(const MemoryStore& from) {
    const auto store = open_store(s3_, S3Account{});
    ASSERT_TRUE(from.list("", [&](const std::string& key, uint64_t) -> Result<void> {
      ASSIGN_OR_RETURN(const Bytes bytes, from.get(key, kGiB));
      const PutRequest request{key, bytes};
      ASSIGN_OR_RETURN(const auto outcomes, store->put_if_absent({&request, 1}));
      EXPECT_EQ(outcomes.at(0), PutOutcome::kCreated);
      return {};
    }));
  }

  /// Starts that many memcached servers, each behind a proxy if `proxied`.
  void start_zone(unsigned nodes, const MemcachedOptions& options = {}, bool proxied = false) {
    for (unsigned i = 0; i < nodes; ++i) add_node(options, proxied);
  }
  void add_node(const MemcachedOptions& options = {}, bool proxied = false) {
    auto node = MemcachedProcess::start(options);
    ASSERT_TRUE(node) << node.error().message;
    nodes_.push_back(std::move(*node));
    if (!proxied) return;
    auto proxy = TcpProxy::start(nodes_.back()->port());
    ASSERT_TRUE(proxy) << proxy.error().message;
    proxies_.push_back(std::move(*proxy));
  }
  std::vector<ZoneNodeAddress> zone_nodes() const {
    std::vector<ZoneNodeAddress> nodes;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const uint16_t port = proxies_.empty() ? nodes_[i]->port() : proxies_[i]->port();
      nodes.push_back({"node-" + std::to_string(i), "127.0.0.1", port, 1});
    }
    return nodes;
  }
  /// 4 + 1 over all nodes, with times that hold on a loaded machine: who answers at all, does so
  /// in time.
  ZoneOptions patient_zone() const {
    ZoneOptions options;
    options.nodes = zone_nodes();
    options.set_timeouts(20'000);
    options.node.breaker.failures_to_open = 1'000'000;
    return options;
  }

  /// No memory tier: each session asks the tiers below for each of its chunks once.
  TierOptions tiers() const {
    TierOptions options;
    options.memory.bytes_max = 0;
    options.memory.slot_bytes = kChunkBytes;
    options.fills_max = kFillsMax;
    return options;
  }
  TierOptions with_zone() const { return with_zone(patient_zone()); }
  TierOptions with_zone(const ZoneOptions& zone) const {
    TierOptions options = tiers();
    options.zone = zone;
    return options;
  }
  TierOptions with_local() const {
    TierOptions options = tiers();
    options.local.emplace();
    options.local->cache.path = cache_path();
    options.local->cache.bytes_max = kCacheBytes;
    options.local->cache.slot_bytes = kChunkBytes;
    // Tests edit the file through the page cache, and a tmpfs has no other way.
    options.local->cache.direct_io = false;
    return options;
  }
  std::string cache_path() const { return dir_.file("cache"); }

  void open_tiers(const TierOptions& options) {
    close_tiers();
    store_ = open_store(s3_, S3Account{});
    workers_.emplace(3, 65536);
    auto stack = TierStack::create(*store_, *workers_, options);
    ASSERT_TRUE(stack) << stack.error().message;
    stack_ = std::move(*stack);
    turnstile_ = std::make_unique<Turnstile>(stack_->top());
  }
  /// Waits until so many nodes of the zone are connected.
  void wait_for_nodes(size_t count) const {
    ASSERT_TRUE(wait_until([&] { return zone_status().nodes_up() == count; }))
        << zone_status().nodes_up() << " of " << count;
  }
  void close_tiers() {
    stack_.reset();
    turnstile_.reset();
    workers_.reset();
    store_.reset();
  }

  std::unique_ptr<TieredServer> serve(const TieredSnapshot& snapshot,
                                      const PageServerOptions& options = {}) {
    const std::string socket = dir_.file("vmm-" + std::to_string(sockets_++) + ".sock");
    return std::make_unique<TieredServer>(socket, snapshot, *turnstile_, *workers_, options);
  }
  /// Resumes one VMM through the tiers that are open; `meanwhile` runs while it touches.
  Restored restore(const TieredSnapshot& snapshot, const std::function<void()>& meanwhile = {},
                   const PageServerOptions& options = {}) {
    const auto server = serve(snapshot, options);
    Restored restored;
    auto vmm = ReplayVmm::start(server->vmm_options());
    if (!vmm) {
      ADD_FAILURE() << vmm.error().message;
      server->stop();
      restored.outcome = fail(vmm.error());
      return restored;
    }
    if (meanwhile) meanwhile();
    restored.vmm = (*vmm)->wait();
    // One that gave up may never have connected.
    if (restored.vmm.exit && !restored.vmm.passed()) server->stop();
    restored.outcome = server->join();
    restored.sessions = server->summaries();
    return restored;
  }
  /// The same, and every byte must be right.
  void expect_restored(const TieredSnapshot& snapshot, const std::function<void()>& meanwhile = {},
                       const PageServerOptions& options = {}) {
    const Restored restored = restore(snapshot, meanwhile, options);
    EXPECT_TRUE(restored.vmm.passed()) << restored.vmm.describe();
    EXPECT_TRUE(restored.outcome) << restored.outcome.error().message;
    ASSERT_TRUE(restored.vmm.report);
    EXPECT_EQ(restored.vmm.report->pages_touched, snapshot.image->map().page_count());
    EXPECT_EQ(restored.vmm.report->mismatch_count, 0u);
  }
  /// The VMM must be ended before it reads a byte that cannot be had, and the error says why.
  void expect_fails_closed(const TieredSnapshot& snapshot, ErrorCode code,
                           const std::vector<std::string>& reasons,
                           const PageServerOptions& options = {}) {
    const Restored restored = restore(snapshot, {}, options);
    // The poisoned page may end it before the signal does.
    EXPECT_TRUE(restored.vmm.signal == SIGKILL || restored.vmm.signal == SIGBUS)
        << restored.vmm.describe();
    ASSERT_FALSE(restored.outcome);
    EXPECT_EQ(restored.outcome.error().code, code) << restored.outcome.error().message;
    for (const std::string& reason : reasons) {
      EXPECT_THAT(restored.outcome.error().message, testing::HasSubstr(reason));
    }
    ASSERT_EQ(restored.sessions.size(), 1u);
    EXPECT_EQ(restored.sessions[0].end, SessionEnd::kFailed);
    EXPECT_EQ(restored.sessions[0].error_code, code);
  }

  /// Restores once through these tiers, so that they hold every chunk, and closes them.
  void warm(const TieredSnapshot& snapshot, const TierOptions& options) {
    open_tiers(options);
    if (options.zone) wait_for_nodes(options.zone->nodes.size());
    expect_restored(snapshot);
    finish_fills();
    EXPECT_EQ(stack_->origin().counters().requests, snapshot.chunk_count());
    if (options.local) {
      EXPECT_EQ(stack_->local()->counters().fills, snapshot.chunk_count());
    }
    close_tiers();
    count_anew();
  }
  void finish_fills() {
    stack_->finish_fills();
    if (stack_->zone() == nullptr) return;
    EXPECT_TRUE(wait_until([&] { return zone_status().put_bytes_in_flight == 0; }));
  }
  /// The server counts anew; what it has seen so far was correct.
  void count_anew() {
    EXPECT_THAT(server_->violations(), testing::IsEmpty());
    server_->forget();
  }

  uint64_t origin_gets() const { return server_->counts().of(S3Operation::kGet); }
  uint64_t faults_met(S3Fault fault) const { return server_->counts().of(fault); }
  ZoneStatus zone_status() const { return stack_->zone_client()->status(); }
  uint64_t zone_sum(uint64_t ZoneNodeStatus::* member) const {
    uint64_t total = 0;
    for (const ZoneNodeStatus& node : zone_status().nodes) total += node.*member;
    return total;
  }

  TempDir dir_;
  std::unique_ptr<S3Server> server_;
  S3Options s3_;
  std::vector<std::unique_ptr<MemcachedProcess>> nodes_;
  std::vector<std::unique_ptr<TcpProxy>> proxies_;
  std::unique_ptr<S3Store> store_;
  std::optional<WorkerPool> workers_;
  std::unique_ptr<TierStack> stack_;
  std::unique_ptr<Turnstile> turnstile_;
  unsigned sockets_ = 0;
};

/// Those tests that need memcached.
class TieredZoneTest : public TieredRestoreTest {
 protected:
  void SetUp() override {
    TieredRestoreTest::SetUp();
    if (IsSkipped()) return;
    if (const std::string reason = MemcachedProcess::unavailable(); !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

}  // namespace thaw
