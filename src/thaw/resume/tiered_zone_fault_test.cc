// SPDX-License-Identifier: Apache-2.0
//
// Restores through a zone of real servers that die, hang, are slow or are
// replaced. The guest's
// memory is right each time, and the origin is asked for exactly what the zone could not give.
#include "thaw/resume/tiered_restore_test.h"

namespace thaw {
namespace {

class TieredZoneFaultTest : public TieredZoneTest {
 protected:
  /// A zone that holds a snapshot, and then tiers over it that have not restored yet.
  void start_warm(unsigned nodes, uint64_t pages = 1024, bool proxied = false) {
    ASSERT_NO_FATAL_FAILURE(start_zone(nodes, {}, proxied));
    snapshot_ = freeze(pages);
    warm(*snapshot_, with_zone());
    open_tiers(with_zone());
    wait_for_nodes(nodes);
  }
  uint64_t chunks() const { return snapshot_->chunk_count(); }
  const ZoneTier::Counters& zone() const { return stack_->zone()->counters(); }
  /// Every chunk came from the zone or else, once, from the origin.
  void expect_each_chunk_once() {
    EXPECT_EQ(zone().hits + origin_gets(), chunks());
    EXPECT_EQ(zone().misses + zone().corrupt, origin_gets());
  }
  void expect_no_origin() {
    EXPECT_EQ(origin_gets(), 0u);
    EXPECT_EQ(zone().hits, chunks());
    EXPECT_EQ(zone().corrupt, 0u);
  }

  std::unique_ptr<TieredSnapshot> snapshot_;
};

TEST_F(TieredZoneFaultTest, WarmAndWholeAsksTheOriginForNothing) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  expect_restored(*snapshot_);
  expect_no_origin();
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::timeouts), 0u);
}

TEST_F(TieredZoneFaultTest, OneDeadOfFiveAsksTheOriginForNothing) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  nodes_[2]->kill();
  expect_restored(*snapshot_);
  expect_no_origin();
  EXPECT_GT(zone_status().hits_degraded, 0u);
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::timeouts), 0u);
}

TEST_F(TieredZoneFaultTest, OneDeadOfSixAsksTheOriginForNothing) {
  ASSERT_NO_FATAL_FAILURE(start_warm(6));
  nodes_[5]->kill();
  expect_restored(*snapshot_);
  expect_no_origin();
  EXPECT_GT(zone_status().hits_degraded, 0u);
}

TEST_F(TieredZoneFaultTest, TwoDeadOfFiveLeaveItToTheOrigin) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  nodes_[0]->kill();
  nodes_[3]->kill();
  wait_for_nodes(3);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(zone().misses, chunks());
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::timeouts), 0u);
}

TEST_F(TieredZoneFaultTest, TwoDeadOfSixCostWhatBothHeld) {
  ASSERT_NO_FATAL_FAILURE(start_warm(6));
  nodes_[0]->kill();
  nodes_[3]->kill();
  wait_for_nodes(4);
  expect_restored(*snapshot_);
  expect_each_chunk_once();
  EXPECT_GT(origin_gets(), 0u);
  EXPECT_GT(zone().hits, 0u);
}

TEST_F(TieredZoneFaultTest, OneHangingNodeIsNotWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  nodes_[1]->freeze();
  expect_restored(*snapshot_);
  expect_no_origin();
  EXPECT_GT(zone_status().hits_degraded, 0u);
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::timeouts), 0u);
  EXPECT_GE(zone_status().nodes[1].abandoned, chunks());
  nodes_[1]->thaw();
}

TEST_F(TieredZoneFaultTest, TwoHangingNodesAreGivenUpAndTheOriginServes) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  ZoneOptions zone_options = patient_zone();
  zone_options.get_timeout_ms = 20;
  zone_options.node.stall_timeout_ms = 20;
  zone_options.node.breaker.failures_to_open = 3;
  open_tiers(with_zone(zone_options));
  wait_for_nodes(5);
  nodes_[1]->freeze();
  nodes_[4]->freeze();
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(zone().misses, chunks());
  EXPECT_GT(zone_sum(&ZoneNodeStatus::timeouts) + zone_sum(&ZoneNodeStatus::failures), 0u);
  EXPECT_GT(zone_sum(&ZoneNodeStatus::refused), 0u);  // later gets did not wait for them
  nodes_[1]->thaw();
  nodes_[4]->thaw();
}

// A hundred times what a node of a zone takes for half of its answers.
constexpr std::chrono::milliseconds kHundredfold(55);

TEST_F(TieredZoneFaultTest, OneNodeAHundredTimesSlowerIsNotWaitedFor) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5, 512, /*proxied=*/true));
  proxies_[3]->set_plan({.to_client = {.delay = kHundredfold}});
  expect_restored(*snapshot_);
  expect_no_origin();
  EXPECT_GT(zone_status().nodes[3].abandoned, 0u);
  EXPECT_GT(zone_status().hits_degraded, 0u);
}

TEST_F(TieredZoneFaultTest, TwoNodesAHundredTimesSlowerAreWaitedForWithinTheTimeOut) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5, 512, /*proxied=*/true));
  for (const size_t node : {size_t{0}, size_t{3}}) {
    proxies_[node]->set_plan({.to_client = {.delay = kHundredfold}});
  }
  expect_restored(*snapshot_);
  expect_no_origin();
  // Of the two, one was needed for each chunk.
  EXPECT_GE(zone_status().nodes[0].hits + zone_status().nodes[3].hits, chunks());
}

TEST_F(TieredZoneFaultTest, ADyingZoneIsLeftForTheOrigin) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  for (const auto& node : nodes_) node->kill();
  wait_for_nodes(0);
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(zone().misses, chunks());
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::timeouts), 0u);
}

TEST_F(TieredZoneFaultTest, ANodeThatDiesInTheMiddleOfARestoreCostsNothing) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5));
  turnstile_->close_after(chunks() / 2);
  expect_restored(*snapshot_, [this] {
    EXPECT_TRUE(wait_until([this] { return turnstile_->held() > 0; }));
    nodes_[2]->kill();
    turnstile_->open();
  });
  expect_no_origin();
  EXPECT_GT(zone_status().hits_degraded, 0u);
  EXPECT_EQ(turnstile_->passed(), chunks());
}

TEST_F(TieredZoneFaultTest, AZoneThatHangsAsAWholeIsLeftForTheOrigin) {
  ASSERT_NO_FATAL_FAILURE(start_warm(5, 512, /*proxied=*/true));
  ZoneOptions zone_options = patient_zone();
  zone_options.get_timeout_ms = 20;
  zone_options.node.stall_timeout_ms = 20;
  zone_options.node.breaker.failures_to_open = 3;
  open_tiers(with_zone(zone_options));
  wait_for_nodes(5);
  for (const auto& proxy : proxies_) proxy->set_plan({.blackhole = true});
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(zone().misses, chunks());
  EXPECT_GT(zone_sum(&ZoneNodeStatus::timeouts) + zone_sum(&ZoneNodeStatus::failures), 0u);
}

TEST_F(TieredZoneFaultTest, TheListOfNodesMayChangeWhileVmmsRun) {
  ASSERT_NO_FATAL_FAILURE(start_zone(6));
  snapshot_ = freeze();
  ZoneOptions first_five = patient_zone();
  first_five.nodes.pop_back();
  warm(*snapshot_, with_zone(first_five));
  open_tiers(with_zone(first_five));
  wait_for_nodes(5);
  turnstile_->close_after(chunks() / 2);

  constexpr uint32_t kVmms = 3;
  const auto server = serve(*snapshot_, {.sessions_max = kVmms});
  std::vector<std::unique_ptr<ReplayVmm>> vmms;
  for (uint32_t i = 0; i < kVmms; ++i) {
    vmms.push_back(*ReplayVmm::start(server->vmm_options()));
  }
  ASSERT_TRUE(wait_until([this] { return turnstile_->held() >= kVmms; }));
  std::vector<ZoneNodeAddress> last_five = zone_nodes();
  last_five.erase(last_five.begin());
  ASSERT_TRUE(stack_->zone_client()->set_nodes(last_five));
  turnstile_->open();
  for (const auto& vmm : vmms) EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
  EXPECT_TRUE(server->join());

  const ZoneStatus status = zone_status();
  ASSERT_EQ(status.nodes.size(), 5u);
  EXPECT_EQ(status.nodes[4].name, "node-5");
  EXPECT_GT(status.nodes[4].requests, 0u);
  // Of each chunk the node that left had a stripe; four are enough.
  EXPECT_GT(status.hits_degraded, 0u);
  EXPECT_EQ(turnstile_->passed(), kVmms * chunks());
  EXPECT_EQ(zone().hits + origin_gets() + stack_->single_flight().joined(), kVmms * chunks());
}

}  // namespace
}  // namespace thaw
