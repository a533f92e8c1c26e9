// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/chunk_sweep.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "thaw/base/guarded.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/thread_count.h"
#include "thaw/store/catalog.h"

namespace thaw {
namespace {

class Sweep {
 public:
  Sweep(const ObjectStore& store, const ManifestClear& clear, std::span<const uint32_t> chunks,
        const SweepOptions& options, Progress& progress, const SweepVisitor& visit)
      : store_(store),
        clear_(clear),
        chunks_(chunks),
        options_(options),
        progress_(progress),
        visit_(visit) {}

  Result<SweepReport> run() {
    const unsigned count = sweep_threads(clear_, options_);
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < count; ++i) threads.emplace_back([this, i] { sweep(i); });
    sweep(0);
    for (std::thread& thread : threads) thread.join();
    if (progress_.cancelled()) return fail(ErrorCode::kInterrupted, "stopped on request");
    SweepReport report = report_.with([](SweepReport& made) { return std::move(made); });
    report.chunks_good = good_;
    return report;
  }

 private:
  /// The body of one thread. Chunks are dealt out in order, so when one fails all before it have
  /// been dealt out and run to their end: the lowest failure is always found.
  void sweep(unsigned worker) {
    Sha256 hasher;
    Bytes buffer(clear_.chunk_bytes);
    while (!stop_.load(std::memory_order_relaxed) && !progress_.cancelled()) {
      const size_t next = next_.fetch_add(1, std::memory_order_relaxed);
      if (next >= chunks_.size()) return;
      const uint32_t chunk = chunks_[next];
      const size_t bytes = size_t{clear_.chunks[chunk].pages} * kPageBytes;
      const Result<void> done =
          visit_one(worker, chunk, MutableByteSpan(buffer).first(bytes), hasher);
      note(chunk, done);
      if (done) progress_.advance(bytes);
    }
  }

  Result<void> visit_one(unsigned worker, uint32_t chunk, MutableByteSpan buffer, Sha256& hasher) {
    const ChunkId& id = clear_.chunks[chunk].id;
    const std::string key = chunk_key(clear_.root_id, id);
    Result<void> read = store_.get_into(key, buffer);
    if (read) read = verify_chunk(hasher, id, buffer);
    if (!read) return fail(std::move(read).error().with_context("object " + key));
    return visit_(worker, chunk, buffer);
  }

  void note(uint32_t chunk, const Result<void>& done) {
    if (done) {
      good_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if (!options_.keep_going) stop_.store(true, std::memory_order_relaxed);
    report_.with([&](SweepReport& report) {
      ++report.chunks_bad;
      std::vector<ChunkFailure>& failures = report.failures;
      const auto place = std::lower_bound(
          failures.begin(), failures.end(), chunk,
          [](const ChunkFailure& failure, uint32_t number) { return failure.chunk < number; });
      failures.insert(place, {chunk, done.error()});
      if (failures.size() > kSweepFailuresMax) failures.pop_back();
    });
  }

  const ObjectStore& store_;
  const ManifestClear& clear_;
  const std::span<const uint32_t> chunks_;
  const SweepOptions& options_;
  Progress& progress_;
  const SweepVisitor& visit_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stop_{false};
  Guarded<SweepReport> report_;
  std::atomic<uint64_t> good_{0};
};

}  // namespace

unsigned sweep_threads(const ManifestClear& clear, const SweepOptions& options) {
  return bounded_threads(options.threads, uint64_t{clear.chunk_bytes} * options.buffers_each,
                         kSweepBytesMax);
}

Result<SweepReport> sweep_chunks(const ObjectStore& store, const ManifestClear& clear,
                                 std::span<const uint32_t> chunks, const SweepOptions& options,
                                 Progress& progress, const SweepVisitor& visit) {
  return Sweep(store, clear, chunks, options, progress, visit).run();
}

}  // namespace thaw
