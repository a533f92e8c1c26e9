// SPDX-License-Identifier: Apache-2.0
//
// The connection to a node that lies, stalls, or falls silent in the middle of an answer.
#include "thaw/zone/memcache_node.h"

#include <gtest/gtest.h>

#include "thaw/zone/encoded_chunk.h"
#include "thaw/zone/fake_node_test.h"
#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

constexpr uint32_t kPages = 4;

/// A loop, a chunk cut 1 + 0, and a node that is asked for it.
class MemcacheNodeTest : public testing::Test {
 protected:
  void start(FakeNode::Answer answer, NodeLimits limits = patient()) {
    fake_ = std::make_unique<FakeNode>(std::move(answer));
    loop_ = std::move(*EventLoop::start());
    loop_->run_and_wait([&] {
      const ZoneNodeAddress address{"fake", "127.0.0.1", fake_->port(), 1};
      node_ =
          std::make_unique<MemcacheNode>(*loop_, resolver_, address, limits, nullptr, counters_, 1);
    });
  }
  void TearDown() override {
    if (loop_) loop_->run_and_wait([this] { node_.reset(); });
    loop_.reset();
    fake_.reset();
  }
  static NodeLimits patient() {
    NodeLimits limits = patient_options(1, 0).node;
    limits.breaker.failures_to_open = 1000;
    limits.reconnect_delay_ms = 1;
    limits.reconnect_delay_ms_max = 2;
    return limits;
  }
  /// The value of the chunk's only stripe as a node keeps it.
  std::string value() const {
    const EncodedChunk encoded(chunk_.id, *chunk_.bytes, nullptr, {1, 0}, ReedSolomon(1, 0));
    return std::string(as_text(encoded.header(0))) + std::string(as_text(encoded.payload(0)));
  }
  StripeId id() const { return {chunk_.id, kPages, {1, 0}, 0}; }

  /// Asks for the stripe; nullopt if refused at once.
  std::optional<StripeOutcome> get(MutableByteSpan out,
                                   std::chrono::milliseconds time = kPatience) {
    Awaited<StripeOutcome> outcome;
    bool refused = false;
    loop_->run_and_wait([&] {
      refused = node_->get(id(), out, deadline_in(time),
                           [&](StripeOutcome got) { outcome.give(got); }) == 0;
    });
    if (refused) return std::nullopt;
    return outcome.take();
  }
  /// Asks until the answer is kOk, as after a reconnect; false if it never is.
  bool get_until_ok() {
    return wait_until([&] {
      Bytes out(chunk_.bytes->size());
      if (get(out) != StripeOutcome::kOk) return false;
      EXPECT_EQ(out, *chunk_.bytes);
      return true;
    });
  }

  const TestChunk chunk_ = make_chunk(1, kPages);
  std::shared_ptr<NodeCounters> counters_ = std::make_shared<NodeCounters>();
  std::unique_ptr<FakeNode> fake_;
  Resolver resolver_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<MemcacheNode> node_;
};

TEST_F(MemcacheNodeTest, EveryKindOfNonsenseEndsTheConnectionAndTheNextOneServes) {
  const std::string good = value();
  const auto good_answer = [&](const std::string& line) {
    return "VA " + std::to_string(good.size()) + " O" + opaque_of(line) + "\r\n" + good + "\r\n";
  };
  const std::vector<std::function<std::string(const std::string&)>> lies{
      [](const std::string&) { return std::string("HTTP/1.1 200 OK\r\n\r\n"); },
      [](const std::string&) { return std::string(5000, 'x'); },
      [](const std::string&) { return std::string("VA 99999999999 O1\r\n"); },
      [](const std::string&) { return std::string("VA 5 O1234567\r\nabcde\r\n"); },
      [](const std::string&) { return std::string("VA 5\r\nabcde\r\n"); },
      [](const std::string& line) { return "HD O" + opaque_of(line) + "\r\n"; },
      [](const std::string& line) { return "NF O" + opaque_of(line) + "\r\n"; },
      [](const std::string&) { return std::string("MN\r\n"); },
      [](const std::string&) { return std::string("CLIENT_ERROR bad command line\r\n"); },
      [](const std::string&) { return std::string("ERROR\r\n"); },
      [](const std::string&) { return std::string("EN\r\nEN\r\n"); },  // one too many
      [](const std::string&) { return std::string("\r\n"); },
      [](const std::string&) { return std::string("EN\n"); },
      [&](const std::string& line) { return good_answer(line) + "garbage\r\n"; },
      [&](const std::string& line) {
        std::string answer = good_answer(line);
        answer[answer.size() - 2] = 'x';
        return answer;
      },
  };
  std::atomic<size_t> lie{0};
  std::atomic<bool> honest{false};
  start([&](const std::string& line, const std::string&, const FakeNode::Send& send) {
    const std::string answer = honest ? good_answer(line) : lies[lie](line);
    return send(answer + (answer == "EN\n" ? std::string(1000, 'x') : ""));
  });
  ASSERT_TRUE(wait_until([&] { return fake_->connections() >= 1; }));
  for (; lie < lies.size(); ++lie) {
    SCOPED_TRACE(lie.load());
    honest = true;
    ASSERT_TRUE(get_until_ok());
    honest = false;
    const uint64_t before = counters_->disconnects;
    Bytes out(chunk_.bytes->size());
    const auto outcome = get(out);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(wait_until([&] { return counters_->disconnects > before; }));
    // An answer that is whole is taken, whatever follows it.
    EXPECT_TRUE(*outcome != StripeOutcome::kOk || out == *chunk_.bytes);
  }
  honest = true;
  EXPECT_TRUE(get_until_ok());
  EXPECT_EQ(counters_->in_flight, 0U);
}

TEST_F(MemcacheNodeTest, WrongSizesAndErrorsAreAnswersAndKeepTheConnection) {
  const std::string good = value();
  std::atomic<int> mode{0};
  start([&](const std::string& line, const std::string&, const FakeNode::Send& send) {
    const auto as_value = [&](const std::string& content) {
      return "VA " + std::to_string(content.size()) + " O" + opaque_of(line) + "\r\n" + content +
             "\r\n";
    };
    switch (mode) {
      case 0:
        return send(as_value(good.substr(1)));
      case 1:
        return send(as_value(""));
      case 2:
        return send(as_value(good + std::string(100'000, 'x')));
      case 3:
        return send("SERVER_ERROR out of memory\r\n");
      case 4:
        return send("EN\r\n");
      default:
        return send(as_value(good));
    }
  });
  const std::array<StripeOutcome, 6> expected{StripeOutcome::kCorrupt, StripeOutcome::kCorrupt,
                                              StripeOutcome::kCorrupt, StripeOutcome::kNotAccepted,
                                              StripeOutcome::kMiss,    StripeOutcome::kOk};
  for (size_t i = 0; i < expected.size(); ++i) {
    mode = static_cast<int>(i);
    Bytes out(chunk_.bytes->size());
    EXPECT_EQ(get(out), expected[i]) << i;
  }
  EXPECT_EQ(fake_->connections(), 1U);
}

TEST_F(MemcacheNodeTest, AnAbandonedAnswerIsNeverWritten) {
  const std::string good = value();
  std::atomic<bool> go_on{false};
  start([&](const std::string& line, const std::string&, const FakeNode::Send& send) {
    const std::string answer =
        "VA " + std::to_string(good.size()) + " O" + opaque_of(line) + "\r\n" + good + "\r\n";
    if (go_on) return send(answer);
    if (!send(answer.substr(0, answer.size() / 2))) return false;
    wait_until([&] { return go_on.load(); });
    return send(answer.substr(answer.size() / 2));
  });
  auto out = std::make_unique<Bytes>(chunk_.bytes->size());
  StripeNode::RequestId request = 0;
  loop_->run_and_wait([&] {
    request = node_->get(id(), *out, deadline_in(kPatience),
                         [](StripeOutcome) { ADD_FAILURE() << "abandoned, and called back"; });
  });
  ASSERT_NE(request, 0U);
  // The first half has been put in place.
  ASSERT_TRUE(wait_until([&] { return counters_->bytes_received > good.size() / 3; }));
  Bytes before;
  loop_->run_and_wait([&] {
    node_->abandon(request);
    node_->abandon(request);
    before = *out;
  });
  go_on = true;
  Bytes second(chunk_.bytes->size());
  EXPECT_EQ(get(second), StripeOutcome::kOk);
  EXPECT_EQ(second, *chunk_.bytes);
  EXPECT_EQ(*out, before);
  EXPECT_NE(*out, *chunk_.bytes);
  EXPECT_EQ(counters_->abandoned, 1U);
  EXPECT_GT(counters_->bytes_discarded, good.size() / 3);
  EXPECT_EQ(fake_->connections(), 1U);
}

TEST_F(MemcacheNodeTest, SilenceIsATimeOutThenTheEndOfTheConnection) {
  NodeLimits limits = patient();
  limits.stall_timeout_ms = 30;
  std::atomic<bool> silent{true};
  const std::string good = value();
  start(
      [&](const std::string& line, const std::string&, const FakeNode::Send& send) {
        if (silent) return true;
        return send("VA " + std::to_string(good.size()) + " O" + opaque_of(line) + "\r\n" + good +
                    "\r\n");
      },
      limits);
  ASSERT_TRUE(wait_until([&] { return counters_->connections == 1; }));
  Bytes out(chunk_.bytes->size());
  EXPECT_EQ(get(out, std::chrono::milliseconds(20)), StripeOutcome::kTimeout);
  // The loop counts the end first, then answers what waited.
  EXPECT_TRUE(wait_until([&] { return counters_->disconnects == 1; }));
  EXPECT_TRUE(wait_until([&] { return counters_->in_flight == 0; }));
  silent = false;
  EXPECT_TRUE(get_until_ok());
}

TEST_F(MemcacheNodeTest, ThePipelineIsBounded) {
  NodeLimits limits = patient();
  limits.requests_max = 3;
  limits.queued_bytes_max = 1024;
  start([](const std::string&, const std::string&, const FakeNode::Send&) { return true; }, limits);
  ASSERT_TRUE(wait_until([&] { return counters_->connections == 1; }));
  Bytes out(chunk_.bytes->size());
  loop_->run_and_wait([&] {
    const auto deadline = deadline_in(kPatience);
    // Too large for what may be queued: refused whole.
    const StripeHeader header{};
    EXPECT_EQ(node_->set(id(), header, *chunk_.bytes, chunk_.bytes, deadline, nullptr), 0U);
    const auto first = node_->get(id(), out, deadline, [](StripeOutcome) {});
    EXPECT_NE(first, 0U);
    node_->abandon(first);  // goes on counting until it is answered
    EXPECT_NE(node_->get(id(), out, deadline, [](StripeOutcome) {}), 0U);
    EXPECT_NE(node_->remove(id(), deadline, [](StripeOutcome) {}), 0U);
    EXPECT_EQ(node_->get(id(), out, deadline, [](StripeOutcome) {}), 0U);
  });
  EXPECT_EQ(counters_->refused_full, 2U);
  EXPECT_EQ(counters_->in_flight, 3U);
}

TEST_F(MemcacheNodeTest, ClosingAnswersAllAndRefusesTheNext) {
  start([](const std::string&, const std::string&, const FakeNode::Send&) { return true; });
  ASSERT_TRUE(wait_until([&] { return counters_->connections == 1; }));
  Bytes out(chunk_.bytes->size());
  int failed = 0;
  loop_->run_and_wait([&] {
    for (int i = 0; i < 5; ++i) {
      node_->get(id(), out, deadline_in(kPatience), [&](StripeOutcome outcome) {
        failed += outcome == StripeOutcome::kFailed ? 1 : 0;
        EXPECT_EQ(node_->remove(id(), deadline_in(kPatience), nullptr), 0U);
      });
    }
    node_->close();
    EXPECT_EQ(node_->get(id(), out, deadline_in(kPatience), nullptr), 0U);
  });
  EXPECT_EQ(failed, 5);
  EXPECT_EQ(counters_->connections, 0U);
}

// The whole way: while one data stripe's second half is held back, the others decide the get. What
// comes late, and wrong, changes nothing in the chunk that was assembled.
TEST(ZoneLateStripe, DoesNotTouchTheChunk) {
  const std::string missing = MemcachedProcess::unavailable();
  if (!missing.empty()) GTEST_SKIP() << missing;
  const TestChunk chunk = make_chunk(5, 128);
  const StripeShape shape{2, 1};
  const EncodedChunk encoded(chunk.id, *chunk.bytes, nullptr, shape, ReedSolomon(2, 1));
  std::atomic<bool> go_on{false};
  std::atomic<uint64_t> held{0};
  FakeNode late([&](const std::string& line, const std::string&, const FakeNode::Send& send) {
    const auto index = static_cast<unsigned>(key_of(line).back() - '0');
    std::string answer =
        std::string(as_text(encoded.header(index))) + std::string(as_text(encoded.payload(index)));
    answer = "VA " + std::to_string(answer.size()) + " O" + opaque_of(line) + "\r\n" + answer;
    const size_t half = answer.size() / 2;
    if (!send(answer.substr(0, half))) return false;
    ++held;
    wait_until([&] { return go_on.load(); });
    return send(std::string(answer.size() - half, '!') + "\r\n");
  });
  ZoneServer one;
  ZoneServer two;
  ZoneOptions options = patient_options(2, 1);
  options.nodes = {{"a", "127.0.0.1", one.port(), 1},
                   {"b", "127.0.0.1", two.port(), 1},
                   {"c", "127.0.0.1", late.port(), 1}};
  auto client = std::move(*ZoneClient::create(options));
  for (unsigned i = 0; i < 3; ++i) {
    const std::string value =
        std::string(as_text(encoded.header(i))) + std::string(as_text(encoded.payload(i)));
    one.store(encoded.id(i).key(), value);
    two.store(encoded.id(i).key(), value);
  }
  Awaited<std::unique_ptr<StripeSet>> got;
  client->get(chunk.id, chunk.pages(), kNoDeadline,
              [&](std::unique_ptr<StripeSet> stripes) { got.give(std::move(stripes)); });
  std::unique_ptr<StripeSet> stripes = got.take();
  ASSERT_NE(stripes, nullptr);
  ASSERT_TRUE(wait_until([&] { return held == 1; }));
  const Result<AlignedBuffer> assembled = ZoneClient::assemble(std::move(stripes));
  ASSERT_TRUE(assembled);
  EXPECT_TRUE(std::ranges::equal(assembled->span(), *chunk.bytes));
  go_on = true;
  ASSERT_TRUE(wait_until([&] { return client->status().nodes[2].in_flight == 0; }));
  EXPECT_TRUE(std::ranges::equal(assembled->span(), *chunk.bytes));
}

}  // namespace
}  // namespace thaw
