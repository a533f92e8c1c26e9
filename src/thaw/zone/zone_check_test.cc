// SPDX-License-Identifier: Apache-2.0
//
// Scrubbing: every kind of damage is told apart, and repaired as far as it can be.
#include "thaw/zone/zone_check.h"

#include <gtest/gtest.h>

#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

using Mode = ZoneClient::CheckMode;

class ZoneCheckTest : public ZoneTest {
 protected:
  void start(unsigned data, unsigned parity, unsigned servers) {
    for (unsigned i = 0; i < servers; ++i) add_server();
    ZoneOptions options = patient_options(data, parity);
    options.node.breaker.failures_to_open = 1000;
    connect(options);
    if (HasFatalFailure()) return;
    ASSERT_EQ(put_and_wait(*client_, chunk_), data + parity);
  }
  void drop(unsigned index) {
    const StripeId id = stripe_of(chunk_, index);
    keeper_of(id)->ask("delete " + id.key() + "\r\n", "\r\n");
  }
  /// Damage that the checksums find.
  void damage(unsigned index) {
    const StripeId id = stripe_of(chunk_, index);
    ZoneServer* const server = keeper_of(id);
    std::string value = server->load(id.key());
    value[kStripeHeaderBytes + 5] ^= 1;
    server->store(id.key(), value);
  }
  /// Damage that they do not: another payload with a header that is right for it.
  void forge(unsigned index) {
    const StripeId id = stripe_of(chunk_, index);
    const std::string payload(id.payload_bytes(), 'f');
    const StripeHeader header = encode_stripe_header(id, as_bytes(payload));
    keeper_of(id)->store(id.key(), std::string(as_text(header)) + payload);
  }
  ChunkCheck look(std::optional<ByteSpan> known = std::nullopt) {
    return client_->check(chunk_.id, chunk_.pages(), known, Mode::kLook);
  }
  ChunkCheck repair(std::optional<ByteSpan> known = std::nullopt) {
    return client_->check(chunk_.id, chunk_.pages(), known, Mode::kRepair);
  }
  void expect_well() {
    const ChunkCheck check = look();
    EXPECT_TRUE(check.readable);
    EXPECT_EQ(check.count(StripeState::kOk), client_->shape().total());
    EXPECT_TRUE(get_and_compare(*client_, chunk_));
  }

  const TestChunk chunk_ = make_chunk(77, 37);
};

TEST_F(ZoneCheckTest, TellsDamageApartAndRepairsIt) {
  start(4, 2, 6);
  expect_well();
  drop(1);
  damage(4);
  ChunkCheck check = look();
  EXPECT_TRUE(check.readable);
  EXPECT_EQ(check.stripes[1], StripeState::kMissing);
  EXPECT_EQ(check.stripes[4], StripeState::kCorrupt);
  EXPECT_EQ(check.count(StripeState::kOk), 4U);
  EXPECT_EQ(check.rewritten, 0U);
  EXPECT_EQ(repair().rewritten, 2U);
  expect_well();
}

TEST_F(ZoneCheckTest, FindsAForgeryByTheName) {
  start(4, 1, 5);
  for (unsigned index = 0; index < 5; ++index) {
    SCOPED_TRACE(index);
    forge(index);
    const ChunkCheck check = repair();
    EXPECT_TRUE(check.readable);
    EXPECT_EQ(check.stripes[index], StripeState::kCorrupt);
    EXPECT_EQ(check.count(StripeState::kOk), 4U);
    EXPECT_EQ(check.rewritten, 1U);
    expect_well();
  }
}

TEST_F(ZoneCheckTest, WithTheCiphertextAnythingIsRepaired) {
  start(4, 1, 5);
  forge(0);
  forge(1);
  drop(2);
  ChunkCheck check = look(*chunk_.bytes);
  EXPECT_FALSE(check.readable);
  EXPECT_EQ(check.count(StripeState::kCorrupt), 2U);
  EXPECT_EQ(check.count(StripeState::kMissing), 1U);
  EXPECT_EQ(check.count(StripeState::kOk), 2U);
  EXPECT_EQ(repair(*chunk_.bytes).rewritten, 3U);
  expect_well();
}

TEST_F(ZoneCheckTest, WhatCannotBeRepairedIsDropped) {
  start(4, 1, 5);
  forge(0);
  forge(1);
  const ChunkCheck check = repair();
  EXPECT_FALSE(check.readable);
  EXPECT_EQ(check.count(StripeState::kCorrupt), 5U);
  EXPECT_EQ(check.removed, 5U);
  EXPECT_EQ(look().count(StripeState::kMissing), 5U);
  EXPECT_FALSE(get_and_compare(*client_, chunk_));
}

TEST_F(ZoneCheckTest, ADeadNodeIsNotMistakenForALostStripe) {
  start(4, 1, 5);
  servers_[3]->kill();
  ASSERT_TRUE(wait_until([&] { return count_up() == 4; }));
  const ChunkCheck check = repair();
  EXPECT_TRUE(check.readable);
  EXPECT_EQ(check.count(StripeState::kNodeDown), 1U);
  EXPECT_EQ(check.count(StripeState::kOk), 4U);
  EXPECT_EQ(check.rewritten, 0U);
}

TEST_F(ZoneCheckTest, AnUnknownChunkIsMissing) {
  start(2, 1, 3);
  const TestChunk other = make_chunk(9, 2);
  const ChunkCheck check = client_->check(other.id, 2, std::nullopt, Mode::kRepair);
  EXPECT_FALSE(check.readable);
  EXPECT_EQ(check.count(StripeState::kMissing), 3U);
  EXPECT_EQ(check.rewritten + check.removed, 0U);
}

}  // namespace
}  // namespace thaw
