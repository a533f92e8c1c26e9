// SPDX-License-Identifier: Apache-2.0
//
// Restores through a zone that hands over the wrong bytes, loses some of them on the way, or has no
// room. No guest ever sees one of them: the checksums of stripes find accidents, the chunk's name
// finds the rest.
#include <charconv>
#include <random>

#include "thaw/resume/tiered_restore_test.h"
#include "thaw/testing/loopback_peer_test.h"
#include "thaw/zone/loopback_zone.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

class TieredLyingZoneTest : public TieredZoneTest {
 protected:
  static constexpr StripeShape kShape{4, 1};

  void start_warm(uint64_t pages = 1024, bool proxied = false) {
    ASSERT_NO_FATAL_FAILURE(start_zone(5, {}, proxied));
    snapshot_ = freeze(pages);
    warm(*snapshot_, with_zone());
  }
  void open_zone(const ZoneOptions& options) {
    open_tiers(with_zone(options));
    wait_for_nodes(5);
  }
  uint64_t chunks() const { return snapshot_->chunk_count(); }
  const ZoneTier::Counters& zone() const { return stack_->zone()->counters(); }
  void expect_each_chunk_once() {
    EXPECT_EQ(zone().hits + origin_gets(), chunks());
    EXPECT_EQ(zone().misses + zone().corrupt, origin_gets());
  }
  /// What the origin gave took the place of what was wrong.
  void expect_healed() {
    finish_fills();
    count_anew();
    open_zone(patient_zone());
    expect_restored(*snapshot_);
    EXPECT_EQ(origin_gets(), 0u);
    EXPECT_EQ(zone().hits, chunks());
  }

  StripeId stripe(uint32_t chunk, unsigned index) const {
    const ChunkEntry& entry = snapshot_->chunk(chunk);
    return {entry.id, entry.pages, kShape, static_cast<uint8_t>(index)};
  }
  /// The answer of a node, up to and including `end`.
  static std::string ask(const MemcachedProcess& node, const std::string& request,
                         const std::string& end) {
    LoopbackPeer peer(node.port());
    EXPECT_TRUE(peer.connected() && peer.write(request));
    std::string answer;
    while (!answer.ends_with(end)) {
      const std::string byte = peer.read(1);
      if (byte.empty()) break;
      answer += byte;
    }
    return answer;
  }
  /// Another value under a stripe's key, at the node that keeps the stripe.
  void overwrite(const StripeId& id, const std::string& value) {
    unsigned stored = 0;
    for (const auto& node : nodes_) {
      // Stores nothing where the key is not there.
      const std::string request =
          "replace " + id.key() + " 0 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
      stored += ask(*node, request, "\r\n") == "STORED\r\n" ? 1 : 0;
    }
    EXPECT_EQ(stored, 1u) << id.key();
  }
  std::string load(const StripeId& id) {
    for (const auto& node : nodes_) {
      const std::string answer = ask(*node, "get " + id.key() + "\r\n", "END\r\n");
      if (!answer.starts_with("VALUE ")) continue;
      const size_t begin = answer.find("\r\n") + 2;
      return answer.substr(begin, kStripeHeaderBytes + id.payload_bytes());
    }
    ADD_FAILURE() << "no node has " << id.key();
    return {};
  }
  /// Of all nodes' "stats".
  uint64_t sum_of_stat(const std::string& name) {
    uint64_t total = 0;
    for (const auto& node : nodes_) {
      const std::string answer = ask(*node, "stats\r\n", "END\r\n");
      const std::string line = "STAT " + name + " ";
      const size_t at = answer.find(line);
      EXPECT_NE(at, std::string::npos) << name;
      if (at == std::string::npos) continue;
      uint64_t value = 0;
      const char* const digits = answer.data() + at + line.size();
      std::from_chars(digits, answer.data() + answer.size(), value);
      total += value;
    }
    return total;
  }

  std::unique_ptr<TieredSnapshot> snapshot_;
};

TEST_F(TieredLyingZoneTest, GarbageUnderOneKeyOfAChunkCostsNothingUnderTwoAFetch) {
  ASSERT_NO_FATAL_FAILURE(start_warm());
  std::mt19937_64 random(7);
  const auto spoil = [&](uint32_t chunk, unsigned index) {
    std::string garbage(kStripeHeaderBytes + stripe(chunk, index).payload_bytes(), '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    overwrite(stripe(chunk, index), garbage);
  };
  uint64_t twice = 0;
  for (uint32_t chunk = 0; chunk < chunks(); ++chunk) {
    if (chunk % 3 == 2) continue;
    spoil(chunk, chunk % 5);
    if (chunk % 3 == 0) continue;
    spoil(chunk, (chunk + 2) % 5);
    ++twice;
  }
  open_zone(patient_zone());
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), twice);
  EXPECT_EQ(zone().misses, twice);
  EXPECT_GE(zone_sum(&ZoneNodeStatus::corrupt), twice);
  expect_each_chunk_once();
  expect_healed();
}

TEST_F(TieredLyingZoneTest, AnotherChunksStripesAreNotTaken) {
  ASSERT_NO_FATAL_FAILURE(start_warm());
  uint64_t spoilt = 0;
  for (uint32_t chunk = 0; chunk + 1 < chunks(); chunk += 2) {
    if (snapshot_->chunk(chunk).pages != snapshot_->chunk(chunk + 1).pages) continue;
    for (unsigned index = 0; index < kShape.total(); ++index) {
      overwrite(stripe(chunk, index), load(stripe(chunk + 1, index)));
    }
    ++spoilt;
  }
  ASSERT_GT(spoilt, 0u);
  open_zone(patient_zone());
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), spoilt);
  EXPECT_GE(zone_sum(&ZoneNodeStatus::corrupt), spoilt);
  expect_each_chunk_once();
  expect_healed();
}

TEST_F(TieredLyingZoneTest, ForgedStripesWithEveryChecksumRightDoNotBearTheName) {
  ASSERT_NO_FATAL_FAILURE(start_warm());
  auto forger = ZoneClient::create(patient_zone());
  ASSERT_TRUE(forger) << forger.error().message;
  ASSERT_TRUE(wait_until_up(**forger, 5));
  for (uint32_t chunk = 0; chunk < chunks(); ++chunk) {
    const ChunkEntry& entry = snapshot_->chunk(chunk);
    const auto forged = std::make_shared<Bytes>(size_t{entry.pages} * kPageBytes, std::byte{0x5a});
    (*forger)->put(entry.id, *forged, forged, [](size_t) {});
  }
  ASSERT_TRUE(wait_until([&] { return (*forger)->status().puts_complete == chunks(); }));
  open_zone(patient_zone());
  expect_restored(*snapshot_);
  EXPECT_EQ(zone().corrupt, chunks());
  EXPECT_EQ(origin_gets(), chunks());
  expect_healed();
}

TEST_F(TieredLyingZoneTest, BitsFlippedOnTheWayAreFound) {
  ASSERT_NO_FATAL_FAILURE(start_warm(1024, /*proxied=*/true));
  ZoneOptions options = patient_zone();
  // A flip in a length makes the client wait for bytes that never come.
  options.get_timeout_ms = 100;
  options.node.stall_timeout_ms = 50;
  options.node.connect_timeout_ms = 500;
  open_zone(options);
  constexpr uint64_t kFlipEveryBytes = 20'000;  // one in about every stripe
  uint64_t seed = 1;
  for (const auto& proxy : proxies_) {
    SCOPED_TRACE(proxy->describe());
    proxy->set_plan({.seed = seed++,
                     .to_client = {.flip_every_bytes = kFlipEveryBytes},
                     .to_server = {.flip_every_bytes = kFlipEveryBytes}});
  }
  for (int round = 0; round < 3; ++round) {
    count_anew();
    const uint64_t hits = zone().hits;
    expect_restored(*snapshot_);
    EXPECT_EQ(zone().hits - hits + origin_gets(), chunks());
    finish_fills();
  }
  uint64_t flips = 0;
  for (const auto& proxy : proxies_) {
    flips += proxy->counts().flips;
    proxy->set_plan({});
  }
  EXPECT_GT(flips, 0u);
  EXPECT_GT(zone_sum(&ZoneNodeStatus::corrupt), 0u);
}

// The least that memcached takes; an item may have half of it.
const MemcachedOptions kTiny{.memory_mib = 1, .arguments = {"-I", "512k"}};

TEST_F(TieredLyingZoneTest, NodesWithoutRoomForgetAndTheOriginServesTheRest) {
  ASSERT_NO_FATAL_FAILURE(start_zone(5, kTiny));
  snapshot_ = freeze(3072);
  warm(*snapshot_, with_zone());
  EXPECT_GT(sum_of_stat("evictions"), 0u);
  open_zone(patient_zone());
  expect_restored(*snapshot_);
  EXPECT_GT(origin_gets(), 0u);
  expect_each_chunk_once();
}

TEST_F(TieredLyingZoneTest, NodesThatRefuseInsteadOfForgettingKeepWhatTheyHave) {
  MemcachedOptions refusing = kTiny;
  refusing.arguments.push_back("-M");
  ASSERT_NO_FATAL_FAILURE(start_zone(5, refusing));
  snapshot_ = freeze(3072);
  warm(*snapshot_, with_zone());
  EXPECT_EQ(sum_of_stat("evictions"), 0u);
  open_zone(patient_zone());
  expect_restored(*snapshot_);
  finish_fills();
  EXPECT_GT(origin_gets(), 0u);
  EXPECT_GT(zone().hits, 0u);
  EXPECT_GT(zone_sum(&ZoneNodeStatus::not_accepted), 0u);
  EXPECT_EQ(zone_sum(&ZoneNodeStatus::disconnects), 0u);
  expect_each_chunk_once();
}

}  // namespace
}  // namespace thaw
