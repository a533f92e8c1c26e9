// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/fair_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "thaw/testing/held_source.h"

namespace thaw {
namespace {

ChunkRequest request(int number, uint64_t flow, Priority priority = Priority::kFault) {
  ChunkRequest made;
  made.id.digest[0] = static_cast<std::byte>(number);
  made.pages = 1;
  made.flow = flow;
  made.priority = priority;
  return made;
}
int number_of(const ChunkRequest& made) { return static_cast<int>(made.id.digest[0]); }

class FairQueueTest : public testing::Test {
 protected:
  void fetch(const ChunkRequest& wanted) {
    queue_.fetch(wanted, [this](const Result<ChunkRef>& result) {
      (result ? arrived_ : failed_) += 1;
      if (!result) last_error_ = result.error();
    });
  }
  std::vector<int> fetched() const {
    std::vector<int> numbers;
    for (const ChunkRequest& one : below_.fetched) numbers.push_back(number_of(one));
    return numbers;
  }
  void complete_all() {
    while (!below_.held.empty()) below_.complete_one();
  }

  HeldSource below_;
  FairQueue queue_{{.requests_max = 2, .fault_reserve = 1, .queued_max = 8}, below_};
  int arrived_ = 0;
  int failed_ = 0;
  Error last_error_{ErrorCode::kInvalid, ""};
};

TEST_F(FairQueueTest, FlowsTakeTurnsWhateverTheirNumberOfRequests) {
  for (const int number : {1, 2, 3, 4, 5}) fetch(request(number, /*flow=*/1));
  fetch(request(11, /*flow=*/2));
  fetch(request(12, /*flow=*/2));
  EXPECT_EQ(below_.held.size(), 2u);
  complete_all();
  EXPECT_EQ(fetched(), (std::vector<int>{1, 2, 3, 11, 4, 12, 5}));
  EXPECT_EQ(arrived_, 7);
  EXPECT_EQ(queue_.counters().dispatched, 7u);
  EXPECT_EQ(queue_.counters().waited, 5u);
  EXPECT_EQ(queue_.counters().in_flight_peak, 2u);
}

TEST_F(FairQueueTest, PrefetchesLeaveTheReserveToFaultsAndWaitForThem) {
  fetch(request(1, 1, Priority::kPrefetch));
  fetch(request(2, 1, Priority::kPrefetch));
  EXPECT_EQ(fetched(), (std::vector<int>{1}));
  fetch(request(3, 1));
  EXPECT_EQ(fetched(), (std::vector<int>{1, 3}));
  fetch(request(4, 1));
  complete_all();
  EXPECT_EQ(fetched(), (std::vector<int>{1, 3, 4, 2}));
}

TEST_F(FairQueueTest, APromotedPrefetchGoesWithTheFaults) {
  for (const int number : {1, 2, 3}) fetch(request(number, 1, Priority::kPrefetch));
  fetch(request(4, 1));
  const ChunkRequest promoted = request(3, 1);
  queue_.promote(promoted.id);
  EXPECT_EQ(queue_.counters().promoted, 1u);
  queue_.promote(promoted.id);  // it is no prefetch any more: the tier below may know it
  EXPECT_EQ(below_.promoted, std::vector<ChunkId>{promoted.id});
  complete_all();
  EXPECT_EQ(fetched(), (std::vector<int>{1, 4, 3, 2}));
}

TEST_F(FairQueueTest, AFullQueueRefuses) {
  for (int number = 0; number < 11; ++number) fetch(request(number, static_cast<uint64_t>(number)));
  EXPECT_EQ(failed_, 1);
  EXPECT_EQ(last_error_.code, ErrorCode::kExhausted);
  EXPECT_NE(last_error_.message.find("queued_max"), std::string::npos);
  EXPECT_EQ(queue_.counters().refused, 1u);
  complete_all();
  EXPECT_EQ(arrived_, 10);
}

TEST_F(FairQueueTest, WhatWaitedPastItsDeadlineIsNotAskedFor) {
  fetch(request(1, 1));
  fetch(request(2, 1));
  ChunkRequest late = request(3, 1);
  late.deadline = Deadline{};  // long ago
  fetch(late);
  complete_all();
  EXPECT_EQ(fetched(), (std::vector<int>{1, 2}));
  EXPECT_EQ(failed_, 1);
  EXPECT_EQ(last_error_.code, ErrorCode::kUnavailable);
  EXPECT_EQ(queue_.counters().expired, 1u);
}

TEST_F(FairQueueTest, RefusesOptionsThatMakeNoSense) {
  EXPECT_FALSE((FairQueueOptions{.requests_max = 0, .fault_reserve = 0}.validate()));
  EXPECT_FALSE((FairQueueOptions{.requests_max = 4, .fault_reserve = 4}.validate()));
  EXPECT_FALSE((FairQueueOptions{.queued_max = 0}.validate()));
  EXPECT_TRUE(FairQueueOptions().validate());
}

// Answers at once, on the caller's thread: completions begin further requests.
class InstantSource final : public ChunkSource {
 public:
  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& wanted, Completion done) override {
    EXPECT_LE(++inside, 4);
    fetches.fetch_add(1);
    auto chunk = std::make_shared<Chunk>();
    chunk->id = wanted.id;
    --inside;
    done(ChunkRef(std::move(chunk)));
  }
  void promote(const ChunkId&) override {}
  std::string describe() const override { return "instant"; }

  std::atomic<int> inside{0};
  std::atomic<uint64_t> fetches{0};
};

TEST(FairQueueThreads, EveryRequestIsAnsweredOnce) {
  InstantSource below;
  FairQueue queue({.requests_max = 4, .fault_reserve = 1}, below);
  constexpr int kThreads = 4;
  constexpr int kRequests = 5'000;
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kRequests; ++i) {
        const auto priority = random() % 2 == 0 ? Priority::kFault : Priority::kPrefetch;
        const ChunkRequest wanted =
            request(static_cast<int>(random() % 256), random() % 3, priority);
        queue.fetch(wanted, [&, wanted](const Result<ChunkRef>& result) {
          ASSERT_TRUE(result);
          EXPECT_EQ((*result)->id, wanted.id);
          ++answered;
        });
        if (random() % 8 == 0) queue.promote(wanted.id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, kThreads * kRequests);
  EXPECT_EQ(below.fetches, uint64_t{kThreads * kRequests});
}

}  // namespace
}  // namespace thaw
