// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <thread>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/testing/held_source.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

class TierTest : public testing::Test {
 protected:
  MemoryStore store_;
  SnapshotFixture snapshot_ = make_snapshot(store_, {.memory_pages = 512});
  WorkerPool workers_{3, 4096};
};

TEST_F(TierTest, OriginYieldsTheChunk) {
  OriginTier origin(store_, workers_);
  const ChunkRequest request = request_for(snapshot_.manifest, 0, Priority::kFault);
  const Result<ChunkRef> chunk = fetch_and_wait(origin, request);
  ASSERT_TRUE(chunk) << chunk.error().message;
  Sha256 hasher;
  EXPECT_TRUE(verify_chunk(hasher, request.id, (*chunk)->ciphertext()));
  EXPECT_EQ(origin.counters().chunks, 1u);
  EXPECT_EQ(origin.lookup(request.id), nullptr);
}

TEST_F(TierTest, OriginRefusesADamagedChunkAndNamesIt) {
  OriginTier origin(store_, workers_);
  flip_bit(store_, snapshot_.chunk_key_of(1), 5000);
  const ChunkRequest request = request_for(snapshot_.manifest, 1, Priority::kFault);
  const Result<ChunkRef> chunk = fetch_and_wait(origin, request);
  ASSERT_FALSE(chunk);
  EXPECT_EQ(chunk.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(chunk.error().message.find(snapshot_.chunk_key_of(1)), std::string::npos);
  EXPECT_EQ(origin.counters().corrupt, 2u);
  EXPECT_EQ(origin.counters().refetched, 1u);
  EXPECT_EQ(origin.counters().errors, 1u);
}

TEST_F(TierTest, OriginRefusesAnotherValidChunk) {
  const ChunkEntry& wanted = snapshot_.manifest.clear.chunks[0];
  uint32_t other = 1;
  while (snapshot_.manifest.clear.chunks[other].pages != wanted.pages) ++other;
  const Bytes bytes = *store_.get(snapshot_.chunk_key_of(other), kChunkBytesMax);
  ASSERT_TRUE(store_.replace(snapshot_.chunk_key_of(0), bytes));
  OriginTier origin(store_, workers_);
  const auto chunk = fetch_and_wait(origin, request_for(snapshot_.manifest, 0, Priority::kFault));
  ASSERT_FALSE(chunk);
  EXPECT_EQ(chunk.error().code, ErrorCode::kCorrupt);
}

TEST_F(TierTest, OriginRefusesATruncatedAndAMissingChunk) {
  Bytes bytes = *store_.get(snapshot_.chunk_key_of(0), kChunkBytesMax);
  bytes.pop_back();
  ASSERT_TRUE(store_.replace(snapshot_.chunk_key_of(0), bytes));
  ASSERT_TRUE(store_.remove(snapshot_.chunk_key_of(1)));
  OriginTier origin(store_, workers_);
  EXPECT_EQ(
      fetch_and_wait(origin, request_for(snapshot_.manifest, 0, Priority::kFault)).error().code,
      ErrorCode::kCorrupt);
  EXPECT_EQ(
      fetch_and_wait(origin, request_for(snapshot_.manifest, 1, Priority::kFault)).error().code,
      ErrorCode::kNotFound);
}

TEST_F(TierTest, OriginSaysWhenItsQueueIsFull) {
  std::latch hold(1);
  std::latch started(1);
  WorkerPool one(1, 1);
  ASSERT_TRUE(one.submit(
      [&] {
        started.count_down();
        hold.wait();
      },
      true));
  started.wait();
  ASSERT_TRUE(one.submit([] {}, true));
  OriginTier origin(store_, one);
  const auto chunk = fetch_and_wait(origin, request_for(snapshot_.manifest, 0, Priority::kFault));
  ASSERT_FALSE(chunk);
  EXPECT_EQ(chunk.error().code, ErrorCode::kExhausted);
  hold.count_down();
}

TEST_F(TierTest, MemoryKeepsTheRecentAndStaysUnderItsLimit) {
  OriginTier origin(store_, workers_);
  const uint64_t limit = 4 * 64 * kKiB;
  MemoryTier memory({.bytes_max = limit, .slot_bytes = 64 * kKiB}, origin);
  const auto chunks = static_cast<uint32_t>(snapshot_.manifest.clear.chunks.size());
  ASSERT_GT(chunks, 6u);
  for (uint32_t i = 0; i < chunks; ++i) {
    ASSERT_TRUE(fetch_and_wait(memory, request_for(snapshot_.manifest, i, Priority::kFault)));
    // Number 0 is used again each time, so it stays while others go.
    ASSERT_NE(memory.lookup(snapshot_.manifest.clear.chunks[0].id), nullptr);
    EXPECT_LE(memory.bytes(), limit);
  }
  EXPECT_GT(memory.counters().evictions, 0u);
  EXPECT_EQ(memory.lookup(snapshot_.manifest.clear.chunks[1].id), nullptr);
  EXPECT_EQ(origin.counters().chunks, chunks);
}

TEST_F(TierTest, SingleFlightFetchesOnceForAll) {
  HeldSource held;
  SingleFlight flight(held);
  const ChunkRequest request = request_for(snapshot_.manifest, 0, Priority::kFault);
  int arrived = 0;
  for (int i = 0; i < 5; ++i) {
    flight.fetch(request, [&](Result<ChunkRef> result) { arrived += result.has_value() ? 1 : 0; });
  }
  EXPECT_EQ(held.fetched.size(), 1u);
  EXPECT_EQ(flight.joined(), 4u);
  held.complete_one();
  EXPECT_EQ(arrived, 5);
  flight.fetch(request, [&](Result<ChunkRef> result) {
    EXPECT_FALSE(result);
    ++arrived;
  });
  EXPECT_EQ(held.fetched.size(), 2u);
  held.held[0].done(fail(ErrorCode::kUnavailable, "down"));
  EXPECT_EQ(arrived, 6);
}

TEST_F(TierTest, WhoWantsAPartOfAChunkThatIsOnItsWayWaitsForTheChunk) {
  class InParts final : public HeldSource {
   public:
    bool fetch_part(const ChunkRequest&, PageRun part, PartCompletion done) override {
      done(ChunkPart{static_cast<uint32_t>(part.page), AlignedBuffer(part.count * kPageBytes)});
      return true;
    }
  } held;
  SingleFlight flight(held);
  const ChunkRequest request = request_for(snapshot_.manifest, 0, Priority::kFault);
  int parts = 0;
  const auto part = [&] {
    return flight.fetch_part(request, {3, 2}, [&](const std::optional<ChunkPart>& got) {
      ASSERT_TRUE(got);
      EXPECT_TRUE(got->sealed().has(3) && got->sealed().has(4) && !got->sealed().has(5));
      ++parts;
    });
  };
  EXPECT_TRUE(part());
  flight.fetch(request, [](const Result<ChunkRef>&) {});
  EXPECT_FALSE(part());
  held.complete_one();
  EXPECT_TRUE(part());
  EXPECT_EQ(parts, 2);
  flight.close();
  EXPECT_FALSE(part());
}

TEST_F(TierTest, AFaultThatJoinsAPrefetchPromotesItOnce) {
  HeldSource held;
  SingleFlight flight(held);
  int arrived = 0;
  const auto fetch = [&](Priority priority) {
    flight.fetch(request_for(snapshot_.manifest, 0, priority),
                 [&](const Result<ChunkRef>&) { ++arrived; });
  };
  fetch(Priority::kPrefetch);
  fetch(Priority::kPrefetch);
  EXPECT_TRUE(held.promoted.empty());
  fetch(Priority::kFault);
  fetch(Priority::kFault);
  EXPECT_EQ(held.promoted, std::vector<ChunkId>{snapshot_.manifest.clear.chunks[0].id});
  held.complete_one();
  EXPECT_EQ(arrived, 4);
}

TEST_F(TierTest, AClosedFlightWaitsForThoseInTheAirAndRefusesOthers) {
  HeldSource held;
  SingleFlight flight(held);
  const ChunkRequest request = request_for(snapshot_.manifest, 0, Priority::kFault);
  std::atomic<bool> landed{false};
  flight.fetch(request, [&](const Result<ChunkRef>&) { landed = true; });
  std::thread closing([&] {
    flight.close();
    EXPECT_TRUE(landed);
  });
  held.complete_one();
  closing.join();
  EXPECT_EQ(fetch_and_wait(flight, request).error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(held.held.empty());
}

TEST_F(TierTest, TheStackDescribesItself) {
  const auto stack = *TierStack::create(store_, workers_, {});
  EXPECT_EQ(stack->top().describe(),
            "single_flight -> memory(256.0 MiB) -> fair_queue(64) -> origin(memory)");
  EXPECT_FALSE(TierOptions{.memory = {.bytes_max = 4096}}.validate());
}

TEST_F(TierTest, PageReaderReadsAnyRange) {
  const auto stack = *TierStack::create(store_, workers_, {});
  const Image& image = snapshot_.image(ImageKind::kMemory);
  const Bytes& oracle = snapshot_.oracle(ImageKind::kMemory);
  const PageReader reader(snapshot_.manifest, image, stack->top());
  uint64_t state = 42;
  const auto next = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  for (int i = 0; i < 500; ++i) {
    const uint64_t offset = next(oracle.size());
    const uint64_t size = next(std::min<uint64_t>(oracle.size() - offset, 300'000) + 1);
    Bytes got(size, std::byte{0xee});
    const Result<void> read = reader.read(offset, got);
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_TRUE(std::equal(got.begin(), got.end(), oracle.begin() + static_cast<ptrdiff_t>(offset)))
        << offset << " + " << size;
  }
  Bytes whole(oracle.size());
  ASSERT_TRUE(reader.read(0, whole));
  EXPECT_TRUE(whole == oracle);
}

TEST_F(TierTest, PageReaderFailsOnADamagedChunkOnly) {
  const auto stack = *TierStack::create(store_, workers_, {});
  const Image& image = snapshot_.image(ImageKind::kMemory);
  const PageReader reader(snapshot_.manifest, image, stack->top());
  const Extent first = image.map.extents().front();
  flip_bit(store_, snapshot_.chunk_key_of(first.chunk));
  Bytes page(kPageBytes);
  EXPECT_FALSE(reader.read(uint64_t{first.page} * kPageBytes, page));
  const Extent last = image.map.extents().back();
  ASSERT_NE(last.chunk, first.chunk);
  EXPECT_TRUE(reader.read(uint64_t{last.page} * kPageBytes, page));
}

}  // namespace
}  // namespace thaw
