// SPDX-License-Identifier: Apache-2.0
//
// Chunks of 512 KiB from a disk, page cache cold, in random order, by 1, 2 and 4 threads. In one
// run, interleaved (--benchmark_enable_random_interleaving=true --benchmark_repetitions=9), compare
// bytes_per_second at the same number of threads:
//   cache_hit_into / plain_direct   must be at least 0.85: plain_direct is a bare O_DIRECT pread of
//   as
//                                   many bytes of the same file
//   cache_hit                       the same with a buffer allocated for each chunk
//   cache_hit_buffered              through the page cache, which forgets the range first
//   plain_buffered                  the same without the cache
//   uring_direct                    O_DIRECT reads by io_uring, as many under way as there are
//                                   threads elsewhere, by one thread
// and what a hit costs besides the disk: checksum_chunk.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/cache/disk_cache.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

constexpr uint32_t kChunks = 512;
constexpr uint32_t kPages = kChunkBytesDefault / kPageBytes;
constexpr CacheGeometry kGeometry{kChunkBytesDefault, kChunks};

ChunkId id_of(uint32_t chunk) {
  ChunkId id;
  std::memcpy(id.digest.data(), &chunk, sizeof chunk);
  return id;
}

/// A full cache file, made once.
class BenchCache {
 public:
  BenchCache() {
    const std::unique_ptr<DiskCache> cache = open(true);
    AlignedBuffer chunk(kChunkBytesDefault);
    std::mt19937_64 random(1);
    for (uint32_t i = 0; i < kChunks; ++i) {
      for (size_t at = 0; at < chunk.size(); at += sizeof(uint64_t)) {
        const uint64_t part = random();
        std::memcpy(chunk.data() + at, &part, sizeof part);
      }
      CHECK(*cache->write(id_of(i), chunk.span()) == FillOutcome::kWritten);
    }
    const Fd fd = *open_file(path(), O_RDWR);
    CHECK(::fsync(fd.get()) == 0);
  }
  std::string path() const { return directory_.file("cache"); }
  std::unique_ptr<DiskCache> open(bool direct_io) const {
    return *DiskCache::open({.path = path(),
                             .bytes_max = kGeometry.file_bytes(),
                             .slot_bytes = kGeometry.slot_bytes,
                             .direct_io = direct_io});
  }

 private:
  const TempDir directory_;
};

const BenchCache& bench_cache() {
  static const BenchCache cache;
  return cache;
}

/// All chunks in an order of its own for each thread, again and again.
class Order {
 public:
  explicit Order(int seed) : chunks_(kChunks) {
    std::iota(chunks_.begin(), chunks_.end(), 0u);
    std::shuffle(chunks_.begin(), chunks_.end(), std::mt19937(static_cast<uint32_t>(seed)));
  }
  uint32_t next() { return chunks_[position_++ % kChunks]; }

 private:
  std::vector<uint32_t> chunks_;
  size_t position_ = 0;
};

uint64_t ciphertext_offset(uint32_t chunk) {
  return kGeometry.slot_offset(chunk) + kGeometry.header_bytes();
}

void finish(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * int64_t{kChunkBytesDefault});
}

void plain_direct(benchmark::State& state) {
  const Fd fd = *open_file(bench_cache().path(), O_RDONLY | O_DIRECT);
  Order order(state.thread_index());
  AlignedBuffer buffer(kChunkBytesDefault);
  for ([[maybe_unused]] auto _ : state) {
    CHECK(read_exact_at(fd.get(), ciphertext_offset(order.next()), buffer.span(), "bench"));
  }
  finish(state);
}

void forget(int fd, uint32_t chunk) {
  CHECK(::posix_fadvise(fd, static_cast<off_t>(kGeometry.slot_offset(chunk)),
                        static_cast<off_t>(kGeometry.stride()), POSIX_FADV_DONTNEED) == 0);
}

void plain_buffered(benchmark::State& state) {
  const Fd fd = *open_file(bench_cache().path(), O_RDONLY);
  Order order(state.thread_index());
  AlignedBuffer buffer(kChunkBytesDefault);
  for ([[maybe_unused]] auto _ : state) {
    const uint32_t chunk = order.next();
    forget(fd.get(), chunk);
    CHECK(read_exact_at(fd.get(), ciphertext_offset(chunk), buffer.span(), "bench"));
  }
  finish(state);
}

std::unique_ptr<DiskCache> shared_cache;  // of the threads of one benchmark

template <bool kDirect>
void open_shared(const benchmark::State& /*state*/) {
  shared_cache = bench_cache().open(kDirect);
}
void close_shared(const benchmark::State& /*state*/) { shared_cache.reset(); }

void cache_hit(benchmark::State& state) {
  Order order(state.thread_index());
  for ([[maybe_unused]] auto _ : state) {
    CHECK(shared_cache->read(id_of(order.next()), kPages).has_value());
  }
  finish(state);
}

void cache_hit_into(benchmark::State& state) {
  Order order(state.thread_index());
  AlignedBuffer buffer(kChunkBytesDefault);
  for ([[maybe_unused]] auto _ : state) {
    CHECK(shared_cache->read_into(id_of(order.next()), buffer.span()));
  }
  finish(state);
}

void cache_hit_buffered(benchmark::State& state) {
  const Fd fd = *open_file(bench_cache().path(), O_RDONLY);
  Order order(state.thread_index());
  AlignedBuffer buffer(kChunkBytesDefault);
  for ([[maybe_unused]] auto _ : state) {
    const uint32_t chunk = order.next();
    forget(fd.get(), chunk);
    CHECK(shared_cache->read_into(id_of(chunk), buffer.span()));
  }
  finish(state);
}

void uring_direct(benchmark::State& state) {
  const auto depth = static_cast<uint32_t>(state.range(0));
  const Fd fd = *open_file(bench_cache().path(), O_RDONLY | O_DIRECT);
  io_uring ring{};
  if (::io_uring_queue_init(depth, &ring, 0) < 0) {
    state.SkipWithError("io_uring is not permitted here");
    return;
  }
  AlignedBuffer buffers(size_t{depth} * kChunkBytesDefault);
  Order order(0);
  const auto queue = [&](uint64_t place) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
    ::io_uring_prep_read(entry, fd.get(), buffers.data() + place * kChunkBytesDefault,
                         kChunkBytesDefault, ciphertext_offset(order.next()));
    entry->user_data = place;
  };
  const auto take = [&] {
    CHECK(::io_uring_submit_and_wait(&ring, 1) >= 0);
    io_uring_cqe* done = nullptr;
    CHECK(::io_uring_wait_cqe(&ring, &done) == 0 && done->res == int{kChunkBytesDefault});
    const uint64_t place = done->user_data;
    ::io_uring_cqe_seen(&ring, done);
    return place;
  };
  for (uint64_t place = 0; place < depth; ++place) queue(place);
  for ([[maybe_unused]] auto _ : state) queue(take());
  for (uint32_t i = 0; i < depth; ++i) take();
  ::io_uring_queue_exit(&ring);
  finish(state);
}

void checksum_chunk(benchmark::State& state) {
  Bytes header(kGeometry.header_bytes());
  AlignedBuffer chunk(kChunkBytesDefault);
  std::fill_n(chunk.data(), chunk.size(), std::byte{1});
  const SlotPlace place{kGeometry, {}, 0};
  encode_slot_header(place, id_of(1), 1, chunk.span(), header);
  const SlotHeader decoded = *decode_slot_header(place, header);
  for ([[maybe_unused]] auto _ : state) CHECK(decoded.matches(chunk.span()));
  finish(state);
}

/// Every fill drives out another chunk.
void cache_fill(benchmark::State& state) {
  const TempDir directory;
  constexpr uint32_t kSlots = 64;
  const std::unique_ptr<DiskCache> cache =
      *DiskCache::open({.path = directory.file("cache"),
                        .bytes_max = CacheGeometry{kChunkBytesDefault, kSlots}.file_bytes()});
  AlignedBuffer chunk(kChunkBytesDefault);
  std::fill_n(chunk.data(), chunk.size(), std::byte{1});
  uint32_t next = 0;
  const auto fill = [&] {
    CHECK(*cache->write(id_of(next++), chunk.span()) == FillOutcome::kWritten);
  };
  for (uint32_t slot = 0; slot < kSlots; ++slot) fill();
  for ([[maybe_unused]] auto _ : state) fill();
  finish(state);
}

void with_threads(benchmark::internal::Benchmark* bench) {
  for (const int threads : {1, 2, 4}) bench->Threads(threads);
  bench->UseRealTime();
}

BENCHMARK(plain_direct)->Apply(with_threads);
BENCHMARK(cache_hit_into)->Apply(with_threads)->Setup(open_shared<true>)->Teardown(close_shared);
BENCHMARK(cache_hit)->Apply(with_threads)->Setup(open_shared<true>)->Teardown(close_shared);
BENCHMARK(uring_direct)->Arg(1)->Arg(2)->Arg(4)->UseRealTime();
BENCHMARK(plain_buffered)->Apply(with_threads);
BENCHMARK(cache_hit_buffered)
    ->Apply(with_threads)
    ->Setup(open_shared<false>)
    ->Teardown(close_shared);
BENCHMARK(checksum_chunk);
BENCHMARK(cache_fill)->UseRealTime();

}  // namespace
}  // namespace thaw
