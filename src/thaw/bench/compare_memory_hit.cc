// SPDX-License-Identifier: Apache-2.0
//
// ram_hit_page: a page read through PageReader from a chunk that the memory tier has, over AES-CTR
// of the same page with the key of its chunk: what addressing, the tier's lookup and its locks
// cost.
#include <chrono>
#include <random>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kPages = 16'384;

}  // namespace

std::vector<Comparison> bench_memory_hit(const BenchScale& scale) {
  MemoryStore store;
  const SnapshotFixture snapshot = make_snapshot(
      store, {.chunk_bytes = kChunkBytesDefault, .memory_pages = kPages, .zero_share = 0});
  WorkerPool workers(2, 4096);
  TierStack stack(store, workers, {});
  const Image& image = snapshot.image(ImageKind::kMemory);
  const PageReader reader(snapshot.manifest, image, stack.top);
  Bytes whole(kPages * kPageBytes);
  CHECK(reader.read(0, whole));  // warms the memory tier
  CHECK(whole == snapshot.oracle(ImageKind::kMemory));

  const int reads = scale.smoke ? 1000 : 100'000;
  std::vector<uint64_t> order(static_cast<size_t>(reads));
  std::mt19937_64 random(1);
  for (uint64_t& page : order) page = random() % kPages;
  std::vector<ChunkRef> chunks;
  for (const ChunkEntry& entry : snapshot.manifest.clear.chunks) {
    chunks.push_back(
        *fetch_and_wait(stack.top, {.root_id = 1, .id = entry.id, .pages = entry.pages}));
  }
  Bytes page(kPageBytes);
  const auto per_page = [&](auto&& one) {
    const Clock::time_point begin = Clock::now();
    for (const uint64_t number : order) one(number);
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / reads;
  };
  CtrCipher cipher;
  return {compare(
      {.name = "ram_hit_page",
       .what = "page read, chunk in the memory tier, over AES-CTR of the page",
       .unit = "ns",
       .target = 1.3},
      scale.rounds(),
      [&] {
        return per_page([&](uint64_t number) { CHECK(reader.read(number * kPageBytes, page)); });
      },
      [&] {
        return per_page([&](uint64_t number) {
          const PageLocation at = image.map.locate(number);
          cipher.set_key(snapshot.manifest.chunk_key(at.chunk));
          cipher.apply(at.slot * kPageBytes,
                       chunks[at.chunk]->ciphertext().subspan(at.slot * kPageBytes, kPageBytes),
                       page.data());
        });
      })};
}

}  // namespace thaw
