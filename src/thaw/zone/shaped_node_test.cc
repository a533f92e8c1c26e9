// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/shaped_node.h"

#include <gtest/gtest.h>

#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

/// Answers everything on the loop's next turn.
class InstantNode final : public StripeNode {
 public:
  explicit InstantNode(EventLoop& loop) : loop_(loop) {}
  RequestId get(const StripeId&, MutableByteSpan, Deadline, Done done) override {
    return answer(std::move(done));
  }
  RequestId set(const StripeId&, ByteSpan, ByteSpan, std::shared_ptr<const void>, Deadline,
                Done done) override {
    return answer(std::move(done));
  }
  RequestId remove(const StripeId&, Deadline, Done done) override {
    return answer(std::move(done));
  }
  void abandon(RequestId) override { ++abandoned; }
  void close() override {}

  int abandoned = 0;
  bool refusing = false;

 private:
  RequestId answer(Done done) {
    if (refusing) return 0;
    loop_.post([done = std::move(done)] { done(StripeOutcome::kOk); });
    return ++made_;
  }
  EventLoop& loop_;
  RequestId made_ = 0;
};

class ShapedNodeTest : public testing::Test {
 protected:
  void SetUp() override { loop_ = std::move(*EventLoop::start()); }
  void TearDown() override {
    loop_->run_and_wait([this] { node_.reset(); });
  }
  void make(double ms) {
    loop_->run_and_wait([&] {
      auto inner = std::make_unique<InstantNode>(*loop_);
      inner_ = inner.get();
      node_ =
          std::make_unique<ShapedNode>(*loop_, std::move(inner), LatencyShape{ms, ms, ms, 0}, 1);
    });
  }
  const StripeId id_{{}, 1, {1, 0}, 0};
  Bytes room_ = Bytes(kPageBytes);
  std::unique_ptr<EventLoop> loop_;
  InstantNode* inner_ = nullptr;
  std::unique_ptr<ShapedNode> node_;
};

TEST_F(ShapedNodeTest, AnAnswerComesNoEarlierThanItsShape) {
  make(20);
  Awaited<StripeOutcome> outcome;
  const auto begin = std::chrono::steady_clock::now();
  loop_->run_and_wait([&] {
    node_->get(id_, room_, deadline_in(kPatience), [&](StripeOutcome got) { outcome.give(got); });
  });
  EXPECT_EQ(outcome.take(), StripeOutcome::kOk);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(19));
}

TEST_F(ShapedNodeTest, AnAnswerPastItsDeadlineIsATimeOut) {
  make(60'000);
  Awaited<StripeOutcome> outcome;
  loop_->run_and_wait([&] {
    node_->remove(id_, deadline_in(std::chrono::milliseconds(5)),
                  [&](StripeOutcome got) { outcome.give(got); });
  });
  EXPECT_EQ(outcome.take(), StripeOutcome::kTimeout);
}

TEST_F(ShapedNodeTest, AbandonedClosedAndRefusedRequests) {
  make(60'000);
  int failed = 0;
  loop_->run_and_wait([&] {
    const auto request = node_->get(id_, room_, deadline_in(kPatience),
                                    [](StripeOutcome) { ADD_FAILURE() << "abandoned"; });
    node_->abandon(request);
    node_->abandon(request);
    EXPECT_EQ(inner_->abandoned, 1);
    for (int i = 0; i < 3; ++i) {
      node_->get(id_, room_, deadline_in(kPatience),
                 [&](StripeOutcome got) { failed += got == StripeOutcome::kFailed ? 1 : 0; });
    }
    inner_->refusing = true;
    EXPECT_EQ(node_->get(id_, room_, deadline_in(kPatience), nullptr), 0U);
  });
  loop_->run_and_wait([&] { node_->close(); });
  EXPECT_EQ(failed, 3);
}

TEST_F(ZoneTest, ShapedNodesServeTheRightBytes) {
  for (int i = 0; i < 5; ++i) add_server();
  ZoneOptions options = patient_options(4, 1);
  options.shape = LatencyShape{0.5, 5, 10, 0};
  connect(options);
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 16; ++i) {
    chunks.push_back(make_chunk(i, 64));
    ASSERT_EQ(put_and_wait(*client_, chunks.back()), 5U);
  }
  for (int round = 0; round < 4; ++round) {
    for (const TestChunk& chunk : chunks) EXPECT_TRUE(get_and_compare(*client_, chunk));
  }
  // The slowest of five is not always parity's.
  EXPECT_GT(client_->status().hits_degraded, 0U);
}

}  // namespace
}  // namespace thaw
