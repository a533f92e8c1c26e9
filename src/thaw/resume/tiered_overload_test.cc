// SPDX-License-Identifier: Apache-2.0
//
// More than a worker should have to bear: all caches empty and sixty-four restores at once, one
// restore too many, a snapshot so large that it could starve another. The origin is asked for each
// chunk once, whoever asks for it, so that an outage of the caches does not become one of the
// store.
#include <csignal>

#include "thaw/resume/tiered_restore_test.h"

namespace thaw {
namespace {

class TieredOverloadTest : public TieredRestoreTest {
 protected:
  static constexpr unsigned kSnapshots = 4;
  static constexpr unsigned kRestores = 64;
  static constexpr uint64_t kPages = 256;
  static constexpr uint64_t kMemoryBytes = 64 * kMiB;  // all that is asked for stays

  static ReplayVmmOptions held(ReplayVmmOptions options) {
    options.touching.threads = 1;
    options.hold_before_touching = true;
    return options;
  }
  static S3Chaos far_away() {
    return {.shape = latency_preset("origin"), .only = {S3Operation::kGet}};
  }
  /// kRestores VMMs of kSnapshots snapshots begin at once. The number of chunks.
  uint64_t restore_all_at_once() {
    std::vector<std::unique_ptr<TieredSnapshot>> snapshots;
    uint64_t distinct = 0;
    for (unsigned i = 0; i < kSnapshots; ++i) {
      snapshots.push_back(freeze(kPages, i + 1));
      distinct += snapshots.back()->chunk_count();
    }
    count_anew();
    server_->set_chaos(far_away());
    TierOptions options = with_local();
    options.memory.bytes_max = kMemoryBytes;
    open_tiers(options);
    std::vector<std::unique_ptr<TieredServer>> servers;
    std::vector<std::unique_ptr<ReplayVmm>> vmms;
    constexpr uint32_t kEach = kRestores / kSnapshots;
    for (const auto& snapshot : snapshots) {
      servers.push_back(serve(*snapshot, {.sessions_max = kEach}));
      for (uint32_t i = 0; i < kEach; ++i) {
        vmms.push_back(*ReplayVmm::start(held(servers.back()->vmm_options())));
      }
    }
    for (const auto& server : servers) {
      EXPECT_TRUE(wait_until([&] { return server->started() == kEach; }));
    }
    for (const auto& vmm : vmms) vmm->proceed();
    for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
    for (const auto& server : servers) {
      const Result<void> outcome = server->join();
      EXPECT_TRUE(outcome) << outcome.error().message;
      EXPECT_EQ(server->summaries().size(), kEach);
    }
    EXPECT_EQ(vmms.size(), kRestores);
    EXPECT_EQ(stack_->origin().counters().requests, distinct);
    EXPECT_EQ(server_->distinct_gets(), distinct);
    EXPECT_EQ(store_->counters().retries, 0u);
    EXPECT_GT(stack_->single_flight().joined(), 0u);
    return distinct;
  }
};

TEST_F(TieredOverloadTest, SixtyFourColdRestoresAskForEachChunkOnce) {
  const uint64_t distinct = restore_all_at_once();
  EXPECT_EQ(origin_gets(), distinct);
  EXPECT_EQ(store_->counters().hedges, 0u);
}

TEST_F(TieredOverloadTest, SixtyFourColdRestoresHedgeWithinTheirBudget) {
  s3_.hedge_percentile = 95;
  s3_.hedge_share = 0.05;
  s3_.hedge_reserve = 8;
  const uint64_t distinct = restore_all_at_once();
  EXPECT_LE(origin_gets() * 100, distinct * 105 + s3_.hedge_reserve * 100);
  EXPECT_GE(origin_gets(), distinct);
  EXPECT_LE(origin_gets(), distinct + store_->counters().hedges);
}

TEST_F(TieredOverloadTest, OneRestoreTooManyIsRefusedAtOnceAndTheOthersFinish) {
  const auto snapshot = freeze(kPages);
  count_anew();
  server_->set_chaos(far_away());
  TierOptions options = tiers();
  options.memory.bytes_max = kMemoryBytes;
  open_tiers(options);
  PageServerOptions limited;
  limited.sessions_max = kRestores + 1;
  limited.restores_max = kRestores;
  limited.restore_settle_ms = 3'600'000;  // who has begun counts as loading until it ends
  const auto server = serve(*snapshot, limited);
  std::vector<std::unique_ptr<ReplayVmm>> vmms;
  for (unsigned i = 0; i < kRestores; ++i) {
    vmms.push_back(*ReplayVmm::start(held(server->vmm_options())));
  }
  ASSERT_TRUE(wait_until([&] { return server->started() == kRestores; }));
  // Before any of the others has touched a page.
  auto refused = *ReplayVmm::start(held(server->vmm_options()));
  EXPECT_EQ(refused->wait().signal, SIGKILL) << refused->wait().describe();
  EXPECT_EQ(origin_gets(), 0u);
  for (const auto& vmm : vmms) vmm->proceed();
  for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
  const Result<void> outcome = server->join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kOverloaded);
  EXPECT_THAT(outcome.error().message, testing::HasSubstr("restores_max"));
  EXPECT_EQ(server->summaries().size(), kRestores);
  EXPECT_EQ(origin_gets(), snapshot->chunk_count());
}

TEST_F(TieredOverloadTest, AFullQueueBeforeTheOriginRefusesAndSaysSo) {
  const auto snapshot = freeze(2048);
  server_->set_chaos({.hold = true, .only = {S3Operation::kGet}});
  TierOptions options = tiers();
  options.origin = {.requests_max = 2, .fault_reserve = 1, .queued_max = 4};
  open_tiers(options);
  // The prefault goes on without what is refused, and faults find room when it has passed.
  PageServerOptions eager;
  eager.session.prefault = Prefault::kAll;
  eager.session.prefault_lanes = 16;
  const auto server = serve(*snapshot, eager);
  auto vmm = *ReplayVmm::start(held(server->vmm_options()));
  ASSERT_TRUE(wait_until([this] { return stack_->queue().counters().refused > 0; }));
  server_->set_chaos({});
  // All that the prefault asked for has been answered or refused.
  ASSERT_TRUE(wait_until([&] { return turnstile_->passed() >= snapshot->chunk_count(); }));
  ASSERT_TRUE(wait_until([this] {
    const FairQueue::Counters& queue = stack_->queue().counters();
    return stack_->origin().counters().chunks + queue.refused == turnstile_->passed();
  }));
  vmm->proceed();
  EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
  EXPECT_TRUE(server->join());
  EXPECT_EQ(server->summaries().at(0).prefetch_errors, stack_->queue().counters().refused);
  EXPECT_LE(stack_->queue().counters().in_flight_peak, 2u);
}

/// A large snapshot that is prefaulted, and a small one, over an origin that answers a few requests
/// each time the test lets it.
class TieredFairnessTest : public TieredOverloadTest {
 protected:
  static constexpr unsigned kInFlight = 4;
  static constexpr unsigned kLanes = 64;
  static constexpr uint64_t kLargePages = 2048;
  static constexpr uint64_t kSmallPages = 128;

  void SetUp() override {
    TieredOverloadTest::SetUp();
    if (IsSkipped()) return;
    large_ = freeze(kLargePages, 1);
    small_ = freeze(kSmallPages, 2);
    ASSERT_GT(large_->chunk_count(), kLanes);
    count_anew();
    hold_answers();
    TierOptions options = tiers();
    options.origin = {.requests_max = kInFlight, .fault_reserve = 1};
    open_tiers(options);
    large_server_ = serve(*large_, prefault_all());
    large_vmm_ = *ReplayVmm::start(held(large_server_->vmm_options()));
    ASSERT_TRUE(wait_until([this] { return turnstile_->passed() == kLanes; }));
  }
  static PageServerOptions prefault_all() {
    PageServerOptions options;
    options.session.prefault = Prefault::kAll;
    options.session.prefault_lanes = kLanes;
    return options;
  }
  void hold_answers() { server_->set_chaos({.hold = true, .only = {S3Operation::kGet}}); }
  /// What is under way is answered, what takes its place is held again.
  void answer_once() {
    const uint64_t before = origin_gets();
    hold_answers();
    EXPECT_TRUE(wait_until([&] { return origin_gets() > before; }));
  }
  uint64_t gets_of(const TieredSnapshot& snapshot) const {
    uint64_t gets = 0;
    for (uint32_t i = 0; i < snapshot.chunk_count(); ++i) {
      gets += server_->gets_of(snapshot.fixture.chunk_key_of(i));
    }
    return gets;
  }
  /// Both end well once the origin answers.
  void expect_both_restored(TieredServer& small_server, ReplayVmm& small_vmm) {
    server_->set_chaos({});
    large_vmm_->proceed();
    small_vmm.proceed();
    EXPECT_TRUE(small_vmm.wait().passed()) << small_vmm.wait().describe();
    EXPECT_TRUE(large_vmm_->wait().passed()) << large_vmm_->wait().describe();
    EXPECT_TRUE(small_server.join());
    EXPECT_TRUE(large_server_->join());
    EXPECT_EQ(origin_gets(), large_->chunk_count() + small_->chunk_count());
    EXPECT_LE(stack_->queue().counters().in_flight_peak, kInFlight);
  }

  std::unique_ptr<TieredSnapshot> large_;
  std::unique_ptr<TieredSnapshot> small_;
  std::unique_ptr<TieredServer> large_server_;
  std::unique_ptr<ReplayVmm> large_vmm_;
};

TEST_F(TieredFairnessTest, TwoPrefaultsTakeTurns) {
  const auto small_server = serve(*small_, prefault_all());
  auto small_vmm = *ReplayVmm::start(held(small_server->vmm_options()));
  ASSERT_TRUE(wait_until([&] { return turnstile_->passed() == kLanes + small_->chunk_count(); }));
  while (gets_of(*small_) < small_->chunk_count()) answer_once();
  // One of the large for one of the small, and what was under way at both ends.
  EXPECT_LE(gets_of(*large_), small_->chunk_count() + 2 * kInFlight);
  expect_both_restored(*small_server, *small_vmm);
}

TEST_F(TieredFairnessTest, FaultsGoBeforeTheLargePrefault) {
  const auto small_server = serve(*small_);
  auto small_vmm = *ReplayVmm::start(held(small_server->vmm_options()));
  small_vmm->proceed();
  while (gets_of(*small_) < small_->chunk_count()) {
    // Only what the guest waits for lets the origin go on.
    ASSERT_TRUE(wait_until([&] {
      return turnstile_->faults_under_way() > 0 || gets_of(*small_) == small_->chunk_count();
    }));
    answer_once();
  }
  // A fault takes two rounds at most: one until it is asked for, one until it is answered.
  EXPECT_LE(gets_of(*large_), (2 * small_->chunk_count() + 1) * kInFlight);
  EXPECT_LT(gets_of(*large_), large_->chunk_count());
  expect_both_restored(*small_server, *small_vmm);
}

}  // namespace
}  // namespace thaw
