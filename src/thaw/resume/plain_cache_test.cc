// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/plain_cache.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "thaw/resume/working_set_test.h"
#include "thaw/store/catalog.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"

namespace {

// What munmap() sees at the moment the memory of a piece goes back.
std::atomic<const void*> watched_memory{nullptr};
std::atomic<size_t> watched_bytes{0};
std::atomic<size_t> nonzero_bytes_seen{0};

}  // namespace

// Stands before the C library's munmap for this test program.
extern "C" int munmap(void* memory, size_t size) noexcept {
  if (memory != nullptr && memory == watched_memory.load()) {
    const auto* bytes = static_cast<const unsigned char*>(memory);
    nonzero_bytes_seen += static_cast<size_t>(
        std::count_if(bytes, bytes + size, [](unsigned char byte) { return byte != 0; }));
    watched_bytes += size;
  }
  return static_cast<int>(::syscall(SYS_munmap, memory, size));
}

namespace thaw {
namespace {

class PlainCacheTest : public testing::TestWithParam<Strategy> {
 protected:
  PlainCacheTest()
      : snapshot_(make_snapshot(store_,
                                {.layout = Layout::kHot, .hot_chunks = 10, .memory_pages = 2048})),
        image_(*ResumeImage::make(
            *decode_manifest(
                *store_.get(manifest_key(snapshot_.target.root_id, snapshot_.target.manifest),
                            kGiB),
                snapshot_.keys),
            recorded_set(snapshot_.target, random_pages(2048, 400, 7)))) {}

  const PrefetchPlan& plan() const { return **image_->plan(GetParam()); }
  size_t pieces() const { return plan().slices.size() + plan().chunks.size(); }

  const PlainPiece* fill(PlainCache& cache, uint32_t piece) {
    const uint32_t chunk =
        plan().slices.empty() ? plan().chunks[piece] : plan().slices[piece].chunk;
    const Manifest& manifest = image_->manifest();
    const Bytes ciphertext = *store_.get(snapshot_.chunk_key_of(chunk), kMiB);
    CtrCipher cipher;
    cipher.set_key(manifest.chunk_key(chunk));
    return cache.fill(piece, ciphertext, cipher);
  }

  bool is_right(uint64_t page, const std::byte* plain) const {
    const Bytes& oracle = snapshot_.oracle(ImageKind::kMemory);
    return std::memcmp(plain, oracle.data() + page * kPageBytes, kPageBytes) == 0;
  }

  MemoryStore store_;
  SnapshotFixture snapshot_;
  std::shared_ptr<const ResumeImage> image_;
};

TEST_P(PlainCacheTest, HoldsThePlansPagesAndNoOther) {
  PlainCache cache(*image_, plan(), kMiB * 64);
  ASSERT_GT(pieces(), 0u);
  for (uint32_t page = 0; page < 2048; ++page) EXPECT_EQ(cache.find_page(page), nullptr);
  uint64_t pages = 0;
  for (uint32_t piece = 0; piece < pieces(); ++piece) {
    EXPECT_EQ(cache.find(piece), nullptr);
    const PlainPiece* const filled = fill(cache, piece);
    ASSERT_NE(filled, nullptr);
    EXPECT_EQ(cache.find(piece), filled);
    EXPECT_EQ(fill(cache, piece), filled);
    for (const SlotRun& run : filled->runs) {
      for (uint32_t i = 0; i < run.count; ++i, ++pages) {
        EXPECT_TRUE(is_right(run.page + i, filled->plain.data() + (run.slot + i) * kPageBytes));
      }
    }
  }
  EXPECT_EQ(cache.counters().fills, pieces());
  EXPECT_EQ(cache.counters().bytes, pages * kPageBytes);
  for (uint32_t page = 0; page < 2048; ++page) {
    const std::byte* const plain = cache.find_page(page);
    const bool kept = plan().predicted.test(page) && !image_->map().locate(page).zero;
    ASSERT_EQ(plain != nullptr, kept) << page;
    if (plain != nullptr) {
      EXPECT_TRUE(is_right(page, plain)) << page;
    }
  }
}

TEST_P(PlainCacheTest, KeepsItsBound) {
  PlainCache cache(*image_, plan(), 40 * kPageBytes);
  for (uint32_t piece = 0; piece < pieces(); ++piece) {
    if (fill(cache, piece) == nullptr) {
      EXPECT_EQ(cache.find(piece), nullptr);
    }
  }
  EXPECT_GT(cache.counters().refused, 0u);
  EXPECT_EQ(cache.counters().fills + cache.counters().refused, pieces());
  EXPECT_LE(cache.counters().bytes, 40 * kPageBytes);
}

TEST_P(PlainCacheTest, IsWipedBeforeItsMemoryGoesBack) {
  auto cache = std::make_unique<PlainCache>(*image_, plan(), kMiB * 64);
  const PlainPiece* const piece = fill(*cache, 0);
  ASSERT_NE(piece, nullptr);
  watched_bytes = 0;
  nonzero_bytes_seen = 0;
  const size_t bytes = piece->plain.size();
  watched_memory = piece->plain.data();
  cache.reset();
  watched_memory = nullptr;
  EXPECT_EQ(watched_bytes, bytes);
  EXPECT_EQ(nonzero_bytes_seen, 0u);
}

TEST_P(PlainCacheTest, ManyFillAtOnceAndOneKeeps) {
  PlainCache cache(*image_, plan(), kMiB * 64);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (uint32_t piece = 0; piece < pieces(); ++piece) {
        const PlainPiece* const filled = fill(cache, piece);
        if (filled == nullptr) continue;  // another thread is about to
        const SlotRun& run = filled->runs.front();
        EXPECT_TRUE(is_right(run.page, filled->plain.data() + run.slot * kPageBytes));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.counters().fills, pieces());
}

TEST_P(PlainCacheTest, ChunksAreFoundByTheirNumber) {
  const PlainCache cache(*image_, plan(), kMiB);
  for (uint32_t chunk = 0; chunk < image_->chunk_count(); ++chunk) {
    const auto at = std::ranges::find(plan().chunks, chunk);
    const auto piece = cache.piece_of_chunk(chunk);
    ASSERT_EQ(piece.has_value(), at != plan().chunks.end());
    if (piece) {
      EXPECT_EQ(*piece, static_cast<uint32_t>(at - plan().chunks.begin()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, PlainCacheTest,
                         testing::Values(Strategy::kReap, Strategy::kFaasnap, Strategy::kHot),
                         [](const auto& named) { return std::string(to_string(named.param)); });

}  // namespace
}  // namespace thaw
