// SPDX-License-Identifier: Apache-2.0
//
// What the zone does when its nodes die, hang, forget, refuse or hand over the wrong bytes. Real
// servers; every byte of every hit is compared.
#include <gtest/gtest.h>

#include "thaw/testing/child_process.h"
#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

constexpr uint32_t kPages = 128;
constexpr unsigned kChunks = 24;

MemcachedOptions small_memcached(std::vector<std::string> arguments = {}) {
  MemcachedOptions options = plain_memcached(std::move(arguments));
  options.memory_mib = 8;
  return options;
}

class ZoneFaultTest : public ZoneTest {
 protected:
  /// Servers, client and kChunks chunks that all of them hold.
  void start(unsigned servers, ZoneOptions options) {
    for (unsigned i = 0; i < servers; ++i) add_server();
    connect(std::move(options));
    if (HasFatalFailure()) return;
    for (unsigned i = 0; i < kChunks; ++i) {
      chunks_.push_back(make_chunk(1000 + i, kPages));
      ASSERT_EQ(put_and_wait(*client_, chunks_.back()), client_->shape().total());
    }
  }
  unsigned count_hits() {
    unsigned hits = 0;
    for (const TestChunk& chunk : chunks_) hits += get_and_compare(*client_, chunk) ? 1 : 0;
    return hits;
  }
  uint64_t sum(uint64_t ZoneNodeStatus::* member) const {
    uint64_t total = 0;
    for (const ZoneNodeStatus& node : client_->status().nodes) total += node.*member;
    return total;
  }

  std::vector<TestChunk> chunks_;
};

TEST_F(ZoneFaultTest, OneDeadNodeOfFiveCostsNoHit) {
  start(5, patient_options(4, 1));
  servers_[2]->kill();
  EXPECT_EQ(count_hits(), kChunks);
  EXPECT_EQ(count_hits(), kChunks);
  const ZoneStatus status = client_->status();
  EXPECT_GT(status.hits_degraded, 0U);
  EXPECT_EQ(sum(&ZoneNodeStatus::timeouts), 0U);
}

TEST_F(ZoneFaultTest, TwoDeadNodesOfFiveAreMissesThatWaitForNothing) {
  start(5, patient_options(4, 1));
  servers_[0]->kill();
  servers_[3]->kill();
  ASSERT_TRUE(wait_until([&] { return count_up() == 3; }));
  EXPECT_EQ(count_hits(), 0U);
  // Time-outs are half a minute here: had one been waited for, it would show.
  EXPECT_EQ(sum(&ZoneNodeStatus::timeouts), 0U);
  EXPECT_EQ(client_->status().misses, kChunks);
}

TEST_F(ZoneFaultTest, TwoDeadNodesOfSixCostNoHitWithTwoOfParity) {
  start(6, patient_options(4, 2));
  servers_[0]->kill();
  servers_[5]->kill();
  EXPECT_EQ(count_hits(), kChunks);
}

TEST_F(ZoneFaultTest, AHangingNodeDelaysNothing) {
  start(5, patient_options(4, 1));
  servers_[1]->freeze();
  EXPECT_EQ(count_hits(), kChunks);
  EXPECT_EQ(sum(&ZoneNodeStatus::timeouts), 0U);
  EXPECT_GE(client_->status().nodes[1].abandoned, kChunks);
  EXPECT_GE(client_->status().nodes[1].in_flight, kChunks);
  // The late answers come, and nobody has them.
  servers_[1]->thaw();
  EXPECT_TRUE(wait_until([&] { return client_->status().nodes[1].in_flight == 0; }));
  EXPECT_GT(client_->status().nodes[1].bytes_discarded, 0U);
  EXPECT_EQ(count_hits(), kChunks);
}

TEST_F(ZoneFaultTest, AHangingNodeIsFoundCutOffAndTakenBack) {
  ZoneOptions options = patient_options(4, 1);
  options.get_timeout_ms = 20;
  options.node.stall_timeout_ms = 20;
  options.node.connect_timeout_ms = 50;
  options.node.breaker.failures_to_open = 2;
  options.node.breaker.cool_down_ms = 20;
  options.node.breaker.cool_down_ms_max = 40;
  start(5, options);
  servers_[1]->freeze();
  const auto state = [&] { return client_->status().nodes[1].state; };
  EXPECT_TRUE(wait_until([&] {
    count_hits();
    return state() == ZoneNodeState::kBreakerOpen;
  }));
  const uint64_t asked = client_->status().nodes[1].requests;
  const uint64_t refused = client_->status().nodes[1].refused;
  count_hits();
  EXPECT_EQ(client_->status().nodes[1].requests, asked);
  EXPECT_GE(client_->status().nodes[1].refused, refused + kChunks);
  EXPECT_GE(client_->status().nodes[1].breaker_opened, 1U);
  servers_[1]->thaw();
  EXPECT_TRUE(wait_until([&] { return state() == ZoneNodeState::kUp; }));
  const uint64_t hits = client_->status().nodes[1].hits;
  EXPECT_TRUE(wait_until([&] {
    count_hits();
    return client_->status().nodes[1].hits > hits;
  }));
}

TEST_F(ZoneFaultTest, TwoHangingNodesAreAMissAtTheTimeOut) {
  ZoneOptions options = patient_options(4, 1);
  start(5, options);
  // A second client with short times: the first had to fill the servers on a loaded machine.
  options.get_timeout_ms = 50;
  connect(options);
  servers_[1]->freeze();
  servers_[4]->freeze();
  EXPECT_FALSE(get_and_compare(*client_, chunks_[0]));
  EXPECT_GT(sum(&ZoneNodeStatus::timeouts), 0U);
  servers_[1]->thaw();
  servers_[4]->thaw();
}

TEST_F(ZoneFaultTest, WhatIsNotTheStripeIsRefused) {
  ZoneOptions options = patient_options(4, 1);
  options.node.breaker.failures_to_open = 1000;
  start(5, options);
  std::mt19937_64 random(7);
  const auto spoil = [&](const TestChunk& chunk, unsigned index, unsigned how) {
    const StripeId id = stripe_of(chunk, index);
    ZoneServer* const server = keeper_of(id);
    ASSERT_NE(server, nullptr);
    std::string value = server->load(id.key());
    ASSERT_EQ(value.size(), kStripeHeaderBytes + id.payload_bytes());
    switch (how) {
      case 0:  // garbage of the right size
        for (char& c : value) c = static_cast<char>(random());
        break;
      case 1:
        value.resize(value.size() / 2);
        break;
      case 2:
        value.clear();
        break;
      case 3:  // one bit of the payload
        value[kStripeHeaderBytes + random() % id.payload_bytes()] ^= 1;
        break;
      case 4:  // one bit of the header
        value[random() % kStripeHeaderBytes] ^= 64;
        break;
      case 5: {  // another chunk's, whole and well
        const StripeId other = stripe_of(make_chunk(1000, kPages), index);
        value = keeper_of(other)->load(other.key());
        break;
      }
      case 6: {  // this chunk's, another index
        const StripeId other = stripe_of(chunk, index == 0 ? 1 : 0);
        value = keeper_of(other)->load(other.key());
        break;
      }
      default: {  // longer than it should be
        value += value;
        break;
      }
    }
    server->store(id.key(), value);
  };
  for (unsigned how = 0; how < 8; ++how) {
    SCOPED_TRACE(how);
    const TestChunk& chunk = chunks_[1 + how];
    spoil(chunk, how % 4, how);
    const uint64_t corrupt = sum(&ZoneNodeStatus::corrupt);
    // Whether it is seen depends on which four came first; it is never used.
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(get_and_compare(*client_, chunk));
    spoil(chunk, (how + 1) % 4, how);
    EXPECT_FALSE(get_and_compare(*client_, chunk));
    EXPECT_GT(sum(&ZoneNodeStatus::corrupt), corrupt);
    // What was found corrupt is deleted.
    const StripeId spoilt = stripe_of(chunk, (how + 1) % 4);
    EXPECT_TRUE(wait_until([&] { return keeper_of(spoilt) == nullptr; }) || how == 2);
  }
}

TEST_F(ZoneFaultTest, ANodeThatKeepsLyingIsCutOff) {
  ZoneOptions options = patient_options(1, 0);
  options.node.breaker.failures_to_open = 3;
  options.node.breaker.cool_down_ms = 10'000;
  start(1, options);
  for (unsigned i = 0; i < 3; ++i) {
    servers_[0]->store(stripe_of(chunks_[i], 0).key(), "nonsense");
    EXPECT_FALSE(get_and_compare(*client_, chunks_[i]));
  }
  EXPECT_EQ(client_->status().nodes[0].state, ZoneNodeState::kBreakerOpen);
  EXPECT_EQ(client_->status().nodes[0].corrupt, 3U);
  EXPECT_FALSE(get_and_compare(*client_, chunks_[9]));
  EXPECT_GE(client_->status().nodes[0].refused, 1U);
}

TEST_F(ZoneFaultTest, ARestartedNodeIsEmptyAndUsedAgain) {
  start(5, patient_options(4, 1));
  servers_[4]->kill();
  ASSERT_TRUE(wait_until([&] { return count_up() == 4; }));
  servers_[4]->restart();
  ASSERT_TRUE(wait_until([&] { return count_up() == 5; }));
  EXPECT_EQ(count_hits(), kChunks);
  // Rewriting fills it: then another may go.
  for (const TestChunk& chunk : chunks_) {
    const ChunkCheck check =
        client_->check(chunk.id, kPages, std::nullopt, ZoneClient::CheckMode::kRepair);
    EXPECT_EQ(check.rewritten, 1U);
  }
  servers_[0]->kill();
  EXPECT_EQ(count_hits(), kChunks);
}

TEST_F(ZoneTest, AFullServerForgetsButNeverLies) {
  for (int i = 0; i < 5; ++i) add_server(small_memcached());
  connect(patient_options(4, 1));
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 120; ++i) {
    chunks.push_back(make_chunk(i, 128));
    put_and_wait(*client_, chunks.back());
  }
  unsigned hits = 0;
  for (const TestChunk& chunk : chunks) hits += get_and_compare(*client_, chunk) ? 1 : 0;
  EXPECT_LT(hits, 120U);
  EXPECT_TRUE(get_and_compare(*client_, chunks.back()));
}

TEST_F(ZoneTest, AServerThatDoesNotEvictRefuses) {
  for (int i = 0; i < 5; ++i) add_server(small_memcached({"-M"}));
  connect(patient_options(4, 1));
  uint64_t stored = 0;
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 120; ++i) {
    chunks.push_back(make_chunk(i, 128));
    stored += put_and_wait(*client_, chunks.back());
  }
  EXPECT_LT(stored, 600U);
  uint64_t not_accepted = 0;
  for (const ZoneNodeStatus& node : client_->status().nodes) {
    not_accepted += node.not_accepted;
    EXPECT_EQ(node.disconnects, 0U);  // a refusal is an answer like another
  }
  EXPECT_EQ(stored + not_accepted, 600U);
  EXPECT_TRUE(get_and_compare(*client_, chunks.front()));
  EXPECT_FALSE(get_and_compare(*client_, chunks.back()));
}

TEST_F(ZoneTest, StripesLargerThanAnItemAreRefusedWithAnAdvice) {
  for (int i = 0; i < 5; ++i) add_server();
  connect(patient_options(4, 1));
  const TestChunk chunk = make_chunk(1, kChunkPagesMax);
  EXPECT_EQ(put_and_wait(*client_, chunk), 0U);
  EXPECT_FALSE(get_and_compare(*client_, chunk));
  const Result<void> fits = client_->fits(kChunkPagesMax);
  ASSERT_FALSE(fits);
  EXPECT_EQ(fits.error().code, ErrorCode::kExhausted);
  EXPECT_NE(fits.error().message.find("-I 2m"), std::string::npos) << fits.error().message;
  EXPECT_EQ(client_->status().puts_too_large, 1U);
  EXPECT_EQ(client_->status().nodes[0].requests, 0U);

  // Told wrongly that the servers take more: they refuse, and go on.
  ZoneOptions options = patient_options(4, 1);
  options.item_bytes_max = 2 * kMiB;
  connect(options);
  EXPECT_EQ(put_and_wait(*client_, chunk), 0U);
  EXPECT_EQ(client_->status().nodes[0].not_accepted, 1U);
  const TestChunk small = make_chunk(2, 64);
  EXPECT_EQ(put_and_wait(*client_, small), 5U);
  EXPECT_TRUE(get_and_compare(*client_, small));
  EXPECT_EQ(client_->status().nodes[0].disconnects, 0U);
}

TEST_F(ZoneTest, TheLargestChunkFitsServersThatTakeLargeItems) {
  for (int i = 0; i < 5; ++i) {
    MemcachedOptions large = plain_memcached();
    large.item_mib_max = 2;
    add_server(large);
  }
  ZoneOptions options = patient_options(4, 1);
  options.item_bytes_max = 2 * kMiB;
  connect(options);
  const TestChunk chunk = make_chunk(1, kChunkPagesMax);
  EXPECT_EQ(put_and_wait(*client_, chunk), 5U);
  EXPECT_TRUE(get_and_compare(*client_, chunk));
}

TEST_F(ZoneTest, ManyGetsAtOnceOnTwoThreadsWithOneNodeHanging) {
  for (int i = 0; i < 7; ++i) add_server();
  ZoneOptions options = patient_options(4, 2);
  options.threads = 2;
  connect(options);
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 32; ++i) {
    chunks.push_back(make_chunk(i, 1 + i * 4));
    ASSERT_EQ(put_and_wait(*client_, chunks.back()), 6U);
  }
  servers_[0]->freeze();
  constexpr unsigned kRounds = 6;
  std::vector<Awaited<std::unique_ptr<StripeSet>>> got(kRounds * chunks.size());
  for (unsigned i = 0; i < got.size(); ++i) {
    const TestChunk& chunk = chunks[i % chunks.size()];
    client_->get(
        chunk.id, chunk.pages(), kNoDeadline,
        [&got, i](std::unique_ptr<StripeSet> stripes) { got[i].give(std::move(stripes)); });
  }
  for (unsigned i = 0; i < got.size(); ++i) {
    std::unique_ptr<StripeSet> stripes = got[i].take();
    ASSERT_NE(stripes, nullptr);
    const auto assembled = ZoneClient::assemble(std::move(stripes));
    ASSERT_TRUE(assembled);
    EXPECT_TRUE(std::ranges::equal(assembled->span(), *chunks[i % chunks.size()].bytes));
  }
}

TEST_F(ZoneTest, LimitsAnswerAtOnce) {
  for (int i = 0; i < 2; ++i) add_server();
  ZoneOptions options = patient_options(2, 0);
  options.gets_in_flight_max = 3;
  options.put_bytes_in_flight_max = 70 * kKiB;
  connect(options);
  const TestChunk chunk = make_chunk(1, 16);
  for (const auto& server : servers_) server->freeze();
  std::vector<Awaited<std::unique_ptr<StripeSet>>> got(4);
  for (auto& one : got) {
    client_->get(chunk.id, chunk.pages(), kNoDeadline,
                 [&one](std::unique_ptr<StripeSet> stripes) { one.give(std::move(stripes)); });
  }
  EXPECT_EQ(got[3].take(), nullptr);
  EXPECT_EQ(client_->status().gets_refused, 1U);
  EXPECT_EQ(client_->status().gets_in_flight, 3U);
  std::vector<Awaited<size_t>> stored(2);
  for (auto& one : stored) {
    client_->put(chunk.id, *chunk.bytes, chunk.bytes, [&one](size_t count) { one.give(count); });
  }
  EXPECT_EQ(stored[1].take(), 0U);
  EXPECT_EQ(client_->status().puts_refused, 1U);
  EXPECT_EQ(client_->status().put_bytes_in_flight, 16 * kPageBytes);
  // The end of the client is an answer to all of them.
  client_.reset();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(got[static_cast<size_t>(i)].take(), nullptr);
  EXPECT_EQ(stored[0].take(), 0U);
}

TEST_F(ZoneTest, FewerNodesThanStripesServeWhileTheyAreEnough) {
  for (int i = 0; i < 4; ++i) add_server();
  connect(patient_options(4, 1));
  const TestChunk chunk = make_chunk(1, 128);
  EXPECT_EQ(put_and_wait(*client_, chunk), 4U);
  EXPECT_TRUE(get_and_compare(*client_, chunk));
  EXPECT_TRUE(client_->status().usable);
  std::vector<ZoneNodeAddress> three = addresses();
  three.pop_back();
  ASSERT_TRUE(client_->set_nodes(three));
  EXPECT_FALSE(client_->status().usable);
  EXPECT_FALSE(get_and_compare(*client_, chunk));
  EXPECT_EQ(put_and_wait(*client_, chunk), 0U);
  EXPECT_EQ(client_->status().gets_unusable, 1U);
  ASSERT_TRUE(client_->set_nodes({}));
  EXPECT_FALSE(get_and_compare(*client_, chunk));
  EXPECT_EQ(remove_and_wait(*client_, chunk), 0U);
}

TEST_F(ZoneTest, NodesComeAndGoUnderLoad) {
  for (int i = 0; i < 8; ++i) add_server();
  ZoneOptions options = patient_options(4, 1);
  options.threads = 2;
  connect(options);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> hits{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; !stop; ++round) {
        const TestChunk chunk = make_chunk(t * 100 + round % 10, 32);
        if (get_and_compare(*client_, chunk)) {
          ++hits;
        } else {
          put_and_wait(*client_, chunk);
        }
      }
    });
  }
  std::mt19937_64 random(3);
  for (int change = 0; change < 30; ++change) {
    std::vector<ZoneNodeAddress> nodes = addresses();
    std::shuffle(nodes.begin(), nodes.end(), random);
    nodes.resize(4 + random() % 5);
    ASSERT_TRUE(client_->set_nodes(nodes));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_TRUE(client_->set_nodes(addresses()));
  const uint64_t before = hits;
  EXPECT_TRUE(wait_until([&] { return hits > before + 20; }));
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ZoneTest, ConnectionsOfNodesThatStayAreKept) {
  for (int i = 0; i < 6; ++i) add_server();
  connect(patient_options(4, 1));
  std::vector<ZoneNodeAddress> nodes = addresses();
  std::reverse(nodes.begin(), nodes.end());
  nodes.pop_back();
  ASSERT_TRUE(client_->set_nodes(nodes));
  EXPECT_EQ(count_up(), 5U);
  for (const ZoneNodeStatus& node : client_->status().nodes) EXPECT_EQ(node.connects, 1U);
  EXPECT_FALSE(client_->set_nodes({nodes[0], nodes[0]}));  // two of one name: nothing changes
  EXPECT_EQ(count_up(), 5U);
}

TEST_F(ZoneTest, AHostMayBeAName) {
  for (int i = 0; i < 2; ++i) add_server();
  ZoneOptions options = patient_options(1, 1);
  options.nodes = {{"", "localhost", servers_[0]->port(), 1},
                   {"", "localhost", servers_[1]->port(), 1}};
  client_ = *ZoneClient::create(options);
  ASSERT_TRUE(wait_until([&] { return count_up() == 2; }));
  const TestChunk chunk = make_chunk(1, 5);
  EXPECT_EQ(put_and_wait(*client_, chunk), 2U);
  EXPECT_TRUE(get_and_compare(*client_, chunk));
}

TEST(ZoneClient, DeadNodesAreNoErrorAndBadOptionsAre) {
  ZoneOptions options = patient_options(1, 0);
  options.nodes = {{"", "127.0.0.1", *free_port(), 1}};
  auto client = ZoneClient::create(options);
  ASSERT_TRUE(client);
  EXPECT_FALSE(get_and_compare(**client, make_chunk(1, 1)));
  options.nodes[0].weight = 0;
  EXPECT_FALSE(ZoneClient::create(options));
  options.nodes[0] = {"", "", 1, 1};
  EXPECT_FALSE(ZoneClient::create(options));
  options.nodes.clear();
  options.data_stripes = 17;
  EXPECT_FALSE(ZoneClient::create(options));
  options.data_stripes = 0;
  EXPECT_FALSE(ZoneClient::create(options));
}

}  // namespace
}  // namespace thaw
