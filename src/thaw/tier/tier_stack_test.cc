// SPDX-License-Identifier: Apache-2.0
//
// The whole stack over real parts: a disk cache in a file, a zone of memcached servers, a store.
// Every chunk that a test reads is compared with the store's bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "thaw/testing/faulty_store.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"
#include "thaw/tier/warm.h"
#include "thaw/zone/loopback_zone.h"

namespace thaw {
namespace {

class TierStackTest : public testing::Test {
 protected:
  static constexpr uint32_t kSlotBytes = 64 * kKiB;

  uint32_t count() const { return static_cast<uint32_t>(snapshot_.manifest.clear.chunks.size()); }
  ChunkRequest request(uint32_t chunk) const {
    return request_for(snapshot_.manifest, chunk, Priority::kFault);
  }

  TierOptions options() const {
    TierOptions options;
    options.memory.bytes_max = 0;
    return options;
  }
  TierOptions with_local() const {
    TierOptions options = this->options();
    options.local.emplace();
    options.local->cache.path = dir_.file("cache");
    options.local->cache.bytes_max = 8 * kMiB;
    options.local->cache.slot_bytes = kSlotBytes;
    return options;
  }

  std::unique_ptr<TierStack> make(const TierOptions& options) {
    auto stack = TierStack::create(store_, workers_, options);
    if (!stack) ADD_FAILURE() << stack.error().message;
    return stack ? std::move(*stack) : nullptr;
  }

  /// Reads every chunk through the stack and compares it.
  void read_all(TierStack& stack) {
    for (uint32_t i = 0; i < count(); ++i) {
      const auto chunk = fetch_and_wait(stack.top(), request(i));
      ASSERT_TRUE(chunk) << chunk.error().message;
      const Bytes oracle = *inner_.get(snapshot_.chunk_key_of(i), kChunkBytesMax);
      const ByteSpan got = (*chunk)->ciphertext();
      ASSERT_TRUE(std::equal(got.begin(), got.end(), oracle.begin(), oracle.end())) << i;
    }
  }

  TempDir dir_;
  MemoryStore inner_;
  FaultyStore store_{inner_};
  SnapshotFixture snapshot_ = make_snapshot(inner_, {.memory_pages = 512});
  WorkerPool workers_{3, 4096};
};

TEST_F(TierStackTest, TheDiskKeepsWhatTheOriginBroughtAcrossRestarts) {
  {
    const auto stack = make(with_local());
    read_all(*stack);
    EXPECT_EQ(stack->local()->counters().misses, count());
    stack->finish_fills();
    EXPECT_EQ(stack->local()->counters().fills, count());
    EXPECT_EQ(stack->local()->counters().fills_refused, 0u);
  }
  store_.set_plan({.error_rate = 1});
  const auto stack = make(with_local());
  read_all(*stack);
  EXPECT_EQ(stack->local()->counters().hits, count());
  EXPECT_EQ(stack->origin().counters().requests, 0u);
}

TEST_F(TierStackTest, TheDiskYieldsParts) {
  TierOptions options = with_local();
  options.memory = {.bytes_max = 64 * kMiB, .slot_bytes = kSlotBytes};
  auto stack = make(options);
  const auto part_of = [&](uint32_t chunk, PageRun part) -> std::optional<ChunkPart> {
    std::promise<std::optional<ChunkPart>> got;
    const bool taken = stack->top().fetch_part(
        request(chunk), part,
        [&](std::optional<ChunkPart> arrived) { got.set_value(std::move(arrived)); });
    if (!taken) return std::nullopt;
    return got.get_future().get();
  };
  EXPECT_FALSE(part_of(0, {0, 1}));  // it is in the origin only
  read_all(*stack);
  stack->finish_fills();
  for (uint32_t chunk = 0; chunk < count(); ++chunk) {
    const Bytes oracle = *inner_.get(snapshot_.chunk_key_of(chunk), kChunkBytesMax);
    const uint64_t pages = oracle.size() / kPageBytes;
    const PageRun part{pages / 2, pages - pages / 2};
    const auto got = part_of(chunk, part);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->first_slot, part.page);
    EXPECT_TRUE(
        std::ranges::equal(got->buffer.span(), ByteSpan(oracle).subspan(part.page * kPageBytes)));
  }
  EXPECT_EQ(stack->local()->counters().parts, count());

  // A name is that of a whole chunk.
  stack.reset();
  options.local->verify_always = true;
  stack = make(options);
  EXPECT_TRUE(stack->disk_cache()->contains(snapshot_.manifest.clear.chunks[0].id));
  EXPECT_FALSE(part_of(0, {0, 1}));
}

TEST_F(TierStackTest, MemoryStandsBeforeTheDisk) {
  TierOptions options = with_local();
  options.memory = {.bytes_max = 64 * kMiB, .slot_bytes = kSlotBytes};
  const auto stack = make(options);
  read_all(*stack);
  read_all(*stack);
  EXPECT_EQ(stack->memory().counters().hits, count());
  EXPECT_EQ(stack->local()->counters().hits, 0u);
  EXPECT_EQ(stack->top().describe(), "single_flight -> memory(64.0 MiB) -> local(" +
                                         dir_.file("cache") + ") -> fair_queue(64) -> origin(" +
                                         store_.describe() + ")");
}

TEST_F(TierStackTest, ADiskThatIsNotTrustedIsHashed) {
  TierOptions options = with_local();
  options.local->verify_always = true;
  const auto stack = make(options);
  // Another chunk's bytes under this name, with checksums that fit: only the name tells.
  const Bytes other = *inner_.get(snapshot_.chunk_key_of(1), kChunkBytesMax);
  const ChunkEntry& wanted = snapshot_.manifest.clear.chunks[0];
  Bytes wrong(wanted.pages * kPageBytes);
  std::copy_n(other.begin(), std::min(other.size(), wrong.size()), wrong.begin());
  ASSERT_EQ(*stack->disk_cache()->write(wanted.id, wrong), FillOutcome::kWritten);
  read_all(*stack);
  EXPECT_EQ(stack->local()->counters().corrupt, 1u);
}

TEST_F(TierStackTest, RunsWithoutADiskThatAnotherHas) {
  const auto first = make(with_local());
  const auto second = make(with_local());
  ASSERT_NE(second, nullptr);
  EXPECT_NE(first->local(), nullptr);
  EXPECT_EQ(second->local(), nullptr);
  read_all(*second);
  EXPECT_EQ(second->origin().counters().chunks, count());
}

TEST_F(TierStackTest, RunsWithoutADiskThatIsMissing) {
  TierOptions options = with_local();
  options.local->cache.path = dir_.file("missing/cache");
  const auto stack = make(options);
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(stack->local(), nullptr);
  read_all(*stack);
}

TEST_F(TierStackTest, AFileOfAnotherShapeIsAnErrorThatNamesIt) {
  make(with_local());
  TierOptions options = with_local();
  options.local->cache.slot_bytes = 2 * kSlotBytes;
  const auto stack = TierStack::create(store_, workers_, options);
  ASSERT_FALSE(stack);
  EXPECT_NE(stack.error().message.find(dir_.file("cache")), std::string::npos)
      << stack.error().message;
}

TEST_F(TierStackTest, ClosingDropsNothingThatWaitsToBeWritten) {
  {
    const auto stack = make(with_local());
    read_all(*stack);
    stack->close();
    EXPECT_EQ(fetch_and_wait(stack->top(), request(0)).error().code, ErrorCode::kInterrupted);
    stack->close();
  }
  const auto stack = make(with_local());
  EXPECT_EQ(stack->disk_cache()->status().slots_used, count());
}

TEST_F(TierStackTest, WarmFillsTheDiskAndReportsAMissingChunk) {
  std::vector<ChunkRequest> chunks;
  for (uint32_t i = 0; i < count(); ++i) chunks.push_back(request(i));
  Progress progress;
  {
    const auto stack = make(with_local());
    const auto first = warm(*stack, chunks, progress);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->chunks, count());
    EXPECT_EQ(first->from_origin, count());
    EXPECT_EQ(first->not_kept, 0u);
    EXPECT_EQ(progress.bytes_done, progress.bytes_total);
  }
  const auto stack = make(with_local());
  const auto again = warm(*stack, chunks, progress);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->from_local, count());
  EXPECT_EQ(again->from_origin, 0u);

  ASSERT_TRUE(inner_.remove(snapshot_.chunk_key_of(2)));
  const auto bare = make(options());
  const auto missing = warm(*bare, chunks, progress);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  progress.cancel = true;
  EXPECT_EQ(warm(*bare, chunks, progress).error().code, ErrorCode::kInterrupted);
}

class ZoneStackTest : public TierStackTest {
 protected:
  void SetUp() override {
    if (const std::string why = MemcachedProcess::unavailable(); !why.empty()) GTEST_SKIP() << why;
    for (int i = 0; i < 5; ++i) servers_.push_back(*MemcachedProcess::start());
  }
  TierOptions with_zone() const {
    TierOptions options = this->options();
    options.zone.emplace();
    options.zone->data_stripes = 3;
    options.zone->parity_stripes = 2;
    options.zone->set_timeouts(20'000);  // a loaded machine is no slow node
    for (const auto& server : servers_) {
      options.zone->nodes.push_back(
          {.name = server->address(), .host = "127.0.0.1", .port = server->port()});
    }
    return options;
  }
  std::unique_ptr<TierStack> make_connected(const TierOptions& options, size_t nodes) {
    auto stack = make(options);
    EXPECT_TRUE(wait_until_up(*stack->zone_client(), nodes));
    return stack;
  }
  void warm_zone() {
    std::vector<ChunkRequest> chunks;
    for (uint32_t i = 0; i < count(); ++i) chunks.push_back(request(i));
    Progress progress;
    const auto stack = make_connected(with_zone(), servers_.size());
    const auto warmed = warm(*stack, chunks, progress);
    ASSERT_TRUE(warmed) << warmed.error().message;
    ASSERT_EQ(warmed->not_kept, 0u);
  }

  std::vector<std::unique_ptr<MemcachedProcess>> servers_;
};

TEST_F(ZoneStackTest, TheZoneServesWhatOneWorkerBroughtToAnother) {
  warm_zone();
  store_.set_plan({.error_rate = 1});
  const auto other = make_connected(with_zone(), servers_.size());
  read_all(*other);
  EXPECT_EQ(other->zone()->counters().hits, count());
  EXPECT_EQ(other->origin().counters().requests, 0u);
}

TEST_F(ZoneStackTest, TwoLostServersOfFiveCostNoRequestAtTheOrigin) {
  warm_zone();
  servers_[1]->kill();
  servers_[4]->kill();
  const auto other = make_connected(with_zone(), 3);
  read_all(*other);
  EXPECT_EQ(other->zone()->counters().hits, count());
  EXPECT_EQ(other->origin().counters().requests, 0u);
  EXPECT_GT(other->zone_client()->status().hits_degraded, 0u);
}

TEST_F(ZoneStackTest, AnotherChunkUnderTheNameIsFetchedFromTheOriginAndReplaced) {
  warm_zone();
  const auto stack = make_connected(with_zone(), servers_.size());
  // Whole and consistent stripes of other bytes: only the chunk's name tells.
  const ChunkEntry& wanted = snapshot_.manifest.clear.chunks[0];
  auto wrong = std::make_shared<Bytes>(wanted.pages * kPageBytes, std::byte{0x5a});
  std::promise<size_t> stored;
  stack->zone_client()->put(wanted.id, *wrong, wrong, [&](size_t n) { stored.set_value(n); });
  ASSERT_EQ(stored.get_future().get(), 5u);
  read_all(*stack);
  EXPECT_EQ(stack->zone()->counters().corrupt, 1u);
  EXPECT_EQ(stack->origin().counters().chunks, 1u);
  stack->finish_fills();
  while (stack->zone_client()->status().put_bytes_in_flight > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  read_all(*stack);
  EXPECT_EQ(stack->zone()->counters().corrupt, 1u);
  EXPECT_EQ(stack->origin().counters().chunks, 1u);
}

TEST_F(ZoneStackTest, TheNodesMayChangeWhileChunksAreRead) {
  warm_zone();
  const auto stack = make_connected(with_zone(), servers_.size());
  const std::vector<ZoneNodeAddress> all = with_zone().zone->nodes;
  std::atomic<bool> stop{false};
  std::thread changing([&] {
    for (size_t i = 0; !stop; ++i) {
      std::vector<ZoneNodeAddress> some = all;
      some.erase(some.begin() + static_cast<ptrdiff_t>(i % all.size()));
      EXPECT_TRUE(stack->zone_client()->set_nodes(i % 2 == 0 ? some : all));
    }
  });
  for (int round = 0; round < 5; ++round) read_all(*stack);
  stop = true;
  changing.join();
}

}  // namespace
}  // namespace thaw
