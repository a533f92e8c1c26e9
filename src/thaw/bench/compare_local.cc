// SPDX-License-Identifier: Apache-2.0
//
// local_hit: chunks through the local tier from its disk cache, the page cache cold, over a loop
// that reads the same bytes with O_DIRECT and does nothing else; the same number of threads.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <latch>
#include <numeric>
#include <random>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/testing/held_source.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/local_tier.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kPages = kChunkBytesDefault / kPageBytes;

// Of both ways: as many as a worker has.
unsigned thread_count() { return WorkerOptions().thread_count(); }

class LocalBench {
 public:
  explicit LocalBench(const BenchScale& scale) : count_(scale.smoke ? 16 : 1024) {
    cache_ = *DiskCache::open({.path = dir_.file("cache"),
                               .bytes_max = (count_ + 8) * (kChunkBytesDefault + 2 * kPageBytes)});
    Sha256 hasher;
    for (uint64_t i = 0; i < count_; ++i) {
      AlignedBuffer bytes(kChunkBytesDefault);
      std::mt19937_64 random(i);
      for (size_t at = 0; at < bytes.size(); at += 8) {
        const uint64_t word = random();
        std::memcpy(bytes.data() + at, &word, 8);
      }
      ids_.push_back(name_chunk(hasher, bytes.span()));
      CHECK(*cache_->write(ids_.back(), bytes.span()) == FillOutcome::kWritten);
    }
    order_.resize(count_);
    std::iota(order_.begin(), order_.end(), 0u);
    std::shuffle(order_.begin(), order_.end(), std::mt19937_64(1));
  }

  double ours_gb_per_s() {
    drop_page_cache();
    WorkerPool workers(thread_count(), 65536);
    WorkerPool fills(1, 16);
    HeldSource nothing;
    LocalTier tier(*cache_, /*verify_always=*/false, workers, fills, nothing);
    std::latch arrived(static_cast<ptrdiff_t>(count_));
    const Clock::time_point begin = Clock::now();
    for (const uint32_t i : order_) {
      tier.fetch({.id = ids_[i], .pages = kPages}, [&](const Result<ChunkRef>& chunk) {
        CHECK(chunk && (*chunk)->ciphertext().size() == kChunkBytesDefault);
        arrived.count_down();
      });
    }
    arrived.wait();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    CHECK(tier.counters().hits == count_);
    return gb(seconds);
  }

  double bare_gb_per_s() {
    drop_page_cache();
    const Fd file(::open(cache_->path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    CHECK(file);
    const auto stride = static_cast<off_t>(kChunkBytesDefault + kPageBytes);
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    const Clock::time_point begin = Clock::now();
    for (unsigned t = 0; t < thread_count(); ++t) {
      threads.emplace_back([&] {
        AlignedBuffer buffer(kChunkBytesDefault);
        for (size_t at = next++; at < count_; at = next++) {
          const off_t offset = stride * static_cast<off_t>(order_[at]);
          CHECK(::pread(file.get(), buffer.data(), buffer.size(), offset) ==
                static_cast<ssize_t>(buffer.size()));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return gb(std::chrono::duration<double>(Clock::now() - begin).count());
  }

 private:
  double gb(double seconds) const {
    return static_cast<double>(count_ * kChunkBytesDefault) / seconds / 1e9;
  }
  void drop_page_cache() {
    const Fd file(::open(cache_->path().c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(file && ::fdatasync(file.get()) == 0 &&
          ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  }

  // A real disk, where there is one: not a file system in memory.
  TempDir dir_{"/var/tmp"};
  const uint64_t count_;
  std::unique_ptr<DiskCache> cache_;
  std::vector<ChunkId> ids_;
  std::vector<uint32_t> order_;
};

}  // namespace

std::vector<Comparison> bench_local(const BenchScale& scale) {
  LocalBench bench(scale);
  return {compare(
      {.name = "local_hit",
       .what = "chunks from the disk cache, page cache cold, over O_DIRECT reads",
       .unit = "GB/s",
       .target = 0.85,
       .at_least = true},
      scale.rounds(), [&] { return bench.ours_gb_per_s(); },
      [&] { return bench.bare_gb_per_s(); })};
}

}  // namespace thaw
