// SPDX-License-Identifier: Apache-2.0
//
// freeze: how close it comes to what its cryptography alone costs with OpenSSL's SHA-256 and AES,
// on the same cores; and how fast zero pages are found. The store is in memory, so that the
// machine's disk is not what is measured.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/store/dir_store.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

double gb_per_s(uint64_t bytes, Clock::time_point begin) {
  return static_cast<double>(bytes) / std::chrono::duration<double>(Clock::now() - begin).count() /
         1e9;
}

class FreezeBench {
 public:
  explicit FreezeBench(const BenchScale& scale) : bytes_((scale.smoke ? 8 : 512) * kMiB) {
    write_image(dir_.file("data"), /*random=*/true);
    write_image(dir_.file("zeros"), /*random=*/false);
  }

  // Whole freeze: read, hash, encrypt, put, sync, manifest, name.
  double freeze_gb_per_s(const char* image) {
    const TempDir store_dir("/dev/shm");
    const auto store = *DirStore::create(store_dir.path());
    Catalog catalog(*store);
    CHECK(catalog.initialise());
    const std::vector<SourceImage> images = *open_sources({dir_.file(image), "", {}});
    Progress progress;
    const Clock::time_point begin = Clock::now();
    const auto frozen = freeze(catalog, keys_, "bench", images, {}, progress);
    CHECK(frozen.has_value());
    return gb_per_s(bytes_, begin);
  }

  // Two passes of SHA-256 and one of AES-256-CTR over the same bytes on all cores, nothing else.
  double bound_gb_per_s() {
    const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
    const Bytes image = *read_file(dir_.file("data"), bytes_);
    const size_t share = image.size() / threads / kChunkBytesDefault * kChunkBytesDefault;
    const Clock::time_point begin = Clock::now();
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i) {
      const size_t end = i + 1 == threads ? image.size() : (i + 1) * share;
      running.emplace_back([&image, begin_at = i * share, end] {
        Sha256 hasher;
        CtrCipher cipher;
        Bytes out(kChunkBytesDefault);
        for (size_t at = begin_at; at < end; at += kChunkBytesDefault) {
          const ByteSpan plain = ByteSpan(image).subspan(at, kChunkBytesDefault);
          const Digest key = hasher.of(plain);
          cipher.set_key(key);
          cipher.apply(0, plain, out.data());
          const Digest name = hasher.of(out);
          CHECK(name != key);
        }
      });
    }
    for (std::thread& thread : running) thread.join();
    return gb_per_s(image.size(), begin);
  }

 private:
  void write_image(const std::string& path, bool random) {
    const Fd fd = *open_file(path, O_RDWR | O_CREAT, 0600);
    Bytes block(kMiB);
    for (uint64_t at = 0; at < bytes_; at += block.size()) {
      if (random) fill_random(block);
      CHECK(write_all_at(fd.get(), at, block, path));
    }
  }

  const uint64_t bytes_;
  const FixedKeys keys_;
  TempDir dir_{"/dev/shm"};
};

}  // namespace

std::vector<Comparison> bench_freeze(const BenchScale& scale) {
  FreezeBench bench(scale);
  std::vector<Comparison> results;
  results.push_back(compare(
      {"freeze", "freeze of non-zero pages over two SHA-256 and one AES-CTR", "GB/s", 0.85, true},
      scale.rounds(), [&] { return bench.freeze_gb_per_s("data"); },
      [&] { return bench.bound_gb_per_s(); }));
  std::vector<double> zeros;
  for (int i = 0; i < scale.rounds(); ++i) zeros.push_back(bench.freeze_gb_per_s("zeros"));
  results.push_back(against_limit("freeze_zero_pages", "freeze of zero pages that stand as data",
                                  "GB/s", 5, true, zeros));
  return results;
}

}  // namespace thaw
