// SPDX-License-Identifier: Apache-2.0
//
// How close freeze comes to what its cryptography alone costs. In one run, interleaved
// (--benchmark_enable_random_interleaving=true --benchmark_repetitions=9), compare
// bytes_per_second:
//   freeze_data / bound_sealing   must be at least 0.85: the bound is two passes of SHA-256 and one
//   of
//                                 AES-256-CTR over the same bytes, on as many threads
//   freeze_zeros                  at least 5 GB/s: zero pages that stand in the file as data
//   freeze_holes                  any size: holes are not read
//   freeze_again                  everything is in the store already
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/dir_store.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

constexpr uint64_t kImageBytes = 256 * kMiB;
// In memory, so that the disk of the machine is not what is measured.
constexpr const char* kPlace = "/dev/shm";

enum class Content { kData, kZeros, kHole };

/// An image file and the bytes that it has.
class BenchImage {
 public:
  explicit BenchImage(Content content) : directory_(kPlace) {
    const Fd fd = *open_file(path(), O_RDWR | O_CREAT, 0600);
    CHECK(::ftruncate(fd.get(), static_cast<off_t>(kImageBytes)) == 0);
    if (content == Content::kHole) return;
    Bytes block(kMiB);
    if (content == Content::kData) fill_random(block);
    for (uint64_t at = 0; at < kImageBytes; at += block.size()) {
      // Each page differs from every other, so that no chunk equals another.
      for (size_t i = 0; content == Content::kData && i < block.size(); i += kPageBytes) {
        std::memcpy(block.data() + i, &at, sizeof at);
      }
      CHECK(write_all_at(fd.get(), at, block, path()));
    }
  }
  std::string path() const { return directory_.file("memory"); }

 private:
  TempDir directory_;
};

/// The image of a kind, made once: a run of all benchmarks would spend its time on writing it.
const BenchImage& image_of(Content content) {
  static const BenchImage data(Content::kData);
  static const BenchImage zeros(Content::kZeros);
  static const BenchImage hole(Content::kHole);
  return content == Content::kData ? data : content == Content::kZeros ? zeros : hole;
}

FreezeStats freeze_into(const std::string& store_path, Content content, uint32_t chunk_bytes) {
  const std::unique_ptr<DirStore> store = *DirStore::create(store_path);
  Catalog catalog(*store);
  CHECK(catalog.initialise());
  const FixedKeys keys;
  const std::vector<SourceImage> images = *open_sources({image_of(content).path(), "", {}});
  FreezeOptions options;
  options.chunk_bytes = chunk_bytes;
  options.replace = true;
  Progress progress;
  const Result<FreezeResult> result = freeze(catalog, keys, "bench", images, options, progress);
  CHECK(result.has_value());
  return result->stats;
}

void freeze_fresh(benchmark::State& state, Content content) {
  image_of(content);
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    auto directory = std::make_unique<TempDir>(kPlace);
    state.ResumeTiming();
    freeze_into(directory->path(), content, static_cast<uint32_t>(state.range(0)));
    state.PauseTiming();
    directory.reset();
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kImageBytes));
}

void freeze_data(benchmark::State& state) { freeze_fresh(state, Content::kData); }
void freeze_zeros(benchmark::State& state) { freeze_fresh(state, Content::kZeros); }
void freeze_holes(benchmark::State& state) { freeze_fresh(state, Content::kHole); }

void freeze_again(benchmark::State& state) {
  const TempDir directory(kPlace);
  const uint32_t chunk_bytes = static_cast<uint32_t>(state.range(0));
  freeze_into(directory.path(), Content::kData, chunk_bytes);
  for ([[maybe_unused]] auto _ : state) {
    CHECK(freeze_into(directory.path(), Content::kData, chunk_bytes).chunks_created == 0);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kImageBytes));
}

/// Two passes of SHA-256 and one of AES-256-CTR over each window, nothing else. The image is in
/// memory and a window is larger than the first cache levels, as it is for freeze.
void seal_share(const Bytes& image, size_t begin, size_t end, size_t chunk_bytes) {
  Sha256 hasher;
  CtrCipher cipher;
  Bytes ciphertext(chunk_bytes);
  for (size_t at = begin; at < end; at += chunk_bytes) {
    const ByteSpan plaintext = ByteSpan(image).subspan(at, chunk_bytes);
    const Digest key = hasher.of(plaintext);
    cipher.set_key(key);
    cipher.apply(0, plaintext, ciphertext.data());
    benchmark::DoNotOptimize(hasher.of(ciphertext));
  }
}

void bound_sealing(benchmark::State& state) {
  const size_t chunk_bytes = static_cast<size_t>(state.range(0));
  static const Bytes image = *read_file(image_of(Content::kData).path(), kImageBytes);
  const unsigned count = std::max(1u, std::thread::hardware_concurrency());
  const size_t share = align_down(image.size() / count, kChunkBytesMax);
  for ([[maybe_unused]] auto _ : state) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i) {
      const size_t end = i + 1 == count ? image.size() : (i + 1) * share;
      threads.emplace_back([=] { seal_share(image, i * share, end, chunk_bytes); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(image.size()));
}

constexpr int64_t kSmall = 64 * 1024;
BENCHMARK(bound_sealing)
    ->Arg(kSmall)
    ->Arg(kChunkBytesDefault)
    ->Arg(kChunkBytesMax)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK(freeze_data)
    ->Arg(kSmall)
    ->Arg(kChunkBytesDefault)
    ->Arg(kChunkBytesMax)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK(freeze_again)->Arg(kChunkBytesDefault)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(freeze_zeros)->Arg(kChunkBytesDefault)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(freeze_holes)->Arg(kChunkBytesDefault)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace thaw
