// SPDX-License-Identifier: Apache-2.0
//
// naive: how far a chunked and encrypted store falls behind a plain file when it is built without
// care, as a published study found it: a mount, linear chunks of 2 MiB and 512 KiB, every miss
// fetches its chunk and decrypts all of it, and no plaintext is kept but what the kernel keeps of
// the pages that it asked for. The ciphertext is in memory, which is kinder than the study was.
#include <map>

#include "thaw/bench/bench_mount.h"
#include "thaw/bench/resume_bench.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/snapshot_writer.h"

namespace thaw {
namespace {

constexpr int kRounds = 1;  // it is no close thing

/// Remembers nothing, and decrypts each chunk that it hands on.
class NaiveSource final : public ChunkSource {
 public:
  explicit NaiveSource(ChunkSource& below) : below_(below) {}

  /// Before the first fetch.
  void add(const Manifest& manifest) {
    for (uint32_t i = 0; i < manifest.clear.chunks.size(); ++i) {
      const ByteSpan key = manifest.chunk_key(i);
      keys_[manifest.clear.chunks[i].id] = Bytes(key.begin(), key.end());
    }
  }

  ChunkRef lookup(const ChunkId&) override { return nullptr; }
  void fetch(const ChunkRequest& request, Completion done) override {
    below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> chunk) {
      CHECK(chunk.has_value());
      const ByteSpan ciphertext = (*chunk)->ciphertext();
      AlignedBuffer plaintext(ciphertext.size());
      CtrCipher cipher;
      cipher.set_key(keys_.at((*chunk)->id));
      cipher.apply(0, ciphertext, plaintext.data());
      done(std::move(chunk));
    });
  }
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "naive -> " + below_.describe(); }

 private:
  ChunkSource& below_;
  std::map<ChunkId, Bytes> keys_;
};

/// The functions' snapshots, linear, in chunks of one size.
class NaiveMount {
 public:
  NaiveMount(ResumeBench& bench, uint32_t chunk_bytes)
      : bench_(bench),
        store_(*DirStore::create(dir_.path())),
        catalog_(*store_),
        workers_(WorkerOptions().thread_count(), 65536),
        stack_(*TierStack::create(*store_, workers_, {.memory = {.bytes_max = 4 * kGiB}})),
        naive_(stack_->top()) {
    CHECK(catalog_.initialise());
    for (size_t i = 0; i < bench.functions(); ++i) {
      const auto sources = *open_sources({bench.snapshot(i).vmm().image_path, "", {}});
      Progress progress;
      const auto frozen = freeze(catalog_, bench.keys(), bench.name(i), sources,
                                 {.chunk_bytes = chunk_bytes}, progress);
      CHECK(frozen.has_value());
      naive_.add(*decode_manifest(*catalog_.read_manifest(frozen->target), bench.keys()));
    }
  }

  double run_ms(size_t function) {
    // Made anew, so that the kernel has nothing of it.
    const BenchMount mount(catalog_, bench_.keys(), naive_);
    return bench_.mapping_ms(function, mount.memory_of(bench_.name(function)));
  }

 private:
  ResumeBench& bench_;
  const TempDir dir_{"/dev/shm"};
  const std::unique_ptr<DirStore> store_;
  Catalog catalog_;
  WorkerPool workers_;
  const std::unique_ptr<TierStack> stack_;
  NaiveSource naive_;
};

}  // namespace

std::vector<Comparison> compare_naive(ResumeBench& bench, const BenchScale& scale) {
  if (!BenchMount::unavailable().empty()) return {};
  std::vector<Comparison> results;
  for (const uint64_t kib : {uint64_t{2048}, uint64_t{512}}) {
    NaiveMount naive(bench, static_cast<uint32_t>(kib * kKiB));
    results.push_back(compare_functions(
        {.name = "naive_" + std::to_string(kib) + "k",
         .what = "mount, chunks of " + std::to_string(kib) +
                 " KiB decrypted whole for each miss, over REAP on a plain file",
         .unit = "ms",
         .report_only = true},
        bench.functions(), std::min(scale.rounds(), kRounds),
        [&](size_t function) { return naive.run_ms(function); },
        [&](size_t function) { return bench.plain_reap_ms(function); }));
  }
  return results;
}

}  // namespace thaw
