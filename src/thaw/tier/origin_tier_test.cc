// SPDX-License-Identifier: Apache-2.0
//
// The origin tier over a store that answers later, on threads of its own. What it does with a store
// that answers at once is in tier_test.cc.
#include "thaw/tier/origin_tier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <thread>
#include <vector>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/testing/forwarding_store.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/shaped_source.h"

namespace thaw {
namespace {

// Keeps what start_get() was asked for until the test lets it go.
class LaterStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  void start_get(const std::string& key, MutableByteSpan out, Deadline,
                 GetDone done) const override {
    waiting_.with([&](auto& waiting) {
      waiting.push_back(
          [this, key, out, done = std::move(done)] { done(inner_.get_into(key, out)); });
    });
    asked_.fetch_add(1);
    asked_.notify_all();
  }
  void wait_until_asked(int times) const {
    for (int seen = asked_; seen < times; seen = asked_) asked_.wait(seen);
  }
  void answer_all() const {
    auto waiting = waiting_.with([](auto& kept) { return std::exchange(kept, {}); });
    for (const auto& answer : waiting) answer();
  }

 private:
  mutable Guarded<std::vector<std::function<void()>>> waiting_;
  mutable std::atomic<int> asked_{0};
};

class OriginTierTest : public testing::Test {
 protected:
  ChunkRequest request(uint32_t chunk) const {
    return request_for(snapshot_.manifest, chunk, Priority::kFault);
  }

  MemoryStore inner_;
  SnapshotFixture snapshot_ = make_snapshot(inner_, {.memory_pages = 512});
  LaterStore store_{inner_};
  WorkerPool workers_{1, 4096};
};

TEST_F(OriginTierTest, OneWorkerHasAnyNumberOfReadsUnderWay) {
  OriginTier origin(store_, workers_);
  const auto count = static_cast<uint32_t>(snapshot_.manifest.clear.chunks.size());
  ASSERT_GT(count, 4u);
  std::latch arrived(count);
  std::vector<ChunkRef> chunks(count);
  for (uint32_t i = 0; i < count; ++i) {
    origin.fetch(request(i), [&, i](Result<ChunkRef> result) {
      ASSERT_TRUE(result) << result.error().message;
      chunks[i] = std::move(*result);
      arrived.count_down();
    });
  }
  store_.wait_until_asked(static_cast<int>(count));
  std::thread answering([&] { store_.answer_all(); });
  arrived.wait();
  answering.join();
  for (uint32_t i = 0; i < count; ++i) {
    const Bytes oracle = *inner_.get(snapshot_.chunk_key_of(i), kChunkBytesMax);
    const ByteSpan got = chunks[i]->ciphertext();
    EXPECT_TRUE(std::equal(got.begin(), got.end(), oracle.begin(), oracle.end())) << i;
  }
}

TEST_F(OriginTierTest, DamageOnTheWayIsReadOnceMore) {
  OriginTier origin(store_, workers_);
  const Bytes intact = *inner_.get(snapshot_.chunk_key_of(0), kChunkBytesMax);
  flip_bit(inner_, snapshot_.chunk_key_of(0));
  std::latch arrived(1);
  ChunkRef chunk;
  origin.fetch(request(0), [&](Result<ChunkRef> result) {
    ASSERT_TRUE(result) << result.error().message;
    chunk = std::move(*result);
    arrived.count_down();
  });
  store_.wait_until_asked(1);
  store_.answer_all();
  store_.wait_until_asked(2);
  ASSERT_TRUE(inner_.replace(snapshot_.chunk_key_of(0), intact));
  store_.answer_all();
  arrived.wait();
  const ByteSpan got = chunk->ciphertext();
  EXPECT_TRUE(std::equal(got.begin(), got.end(), intact.begin(), intact.end()));
  EXPECT_EQ(origin.counters().refetched, 1u);
  EXPECT_EQ(origin.counters().errors, 0u);
}

TEST_F(OriginTierTest, ClosingCompletesWhatIsUnderWayAndLateAnswersAreDropped) {
  std::atomic<int> interrupted{0};
  {
    OriginTier origin(store_, workers_);
    for (uint32_t i = 0; i < 3; ++i) {
      origin.fetch(request(i), [&](const Result<ChunkRef>& result) {
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
        ++interrupted;
      });
    }
    store_.wait_until_asked(3);
    origin.close();
    EXPECT_EQ(interrupted, 3);
    EXPECT_EQ(fetch_and_wait(origin, request(0)).error().code, ErrorCode::kInterrupted);
  }
  store_.answer_all();  // into buffers that still live, and to nobody
  EXPECT_EQ(interrupted, 3);
}

TEST(ShapedSource, DelaysAndKeepsTheBytes) {
  MemoryStore store;
  const SnapshotFixture snapshot = make_snapshot(store, {.memory_pages = 64});
  WorkerPool workers(2, 4096);
  OriginTier origin(store, workers);
  ShapedSource shaped({20, 20, 20}, 1, workers, origin);
  const auto begin = std::chrono::steady_clock::now();
  const auto chunk = fetch_and_wait(shaped, request_for(snapshot.manifest, 0, Priority::kFault));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
  ASSERT_TRUE(chunk);
  const Bytes oracle = *store.get(snapshot.chunk_key_of(0), kChunkBytesMax);
  EXPECT_TRUE(std::equal(oracle.begin(), oracle.end(), (*chunk)->ciphertext().begin()));
}

}  // namespace
}  // namespace thaw
