// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/seal_pipeline.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "thaw/base/guarded.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/linear_window.h"
#include "thaw/freeze/thread_count.h"

namespace thaw {
namespace {

// The pool must hold a whole group, or the group that waits for its last chunk would wait for
// itself.
static_assert(kGroupBytesMax <= kCiphertextBytesMax / 2);
static_assert(kGroupBytesMax >= kChunkBytesMax && kPlaintextBytesMax >= kChunkBytesMax);

/// What the sealers share.
class Sealers {
 public:
  Sealers(const SealJob& job, const SecretBytes& salt, ObjectStore& store, SnapshotLedger& ledger,
          Progress& progress)
      : job_(job),
        salt_(salt),
        progress_(progress),
        ledger_(&ledger),
        cursor_(job.images, job.chunk_bytes / kPageBytes),
        pool_(kCiphertextBytesMax / job.chunk_bytes, job.chunk_bytes),
        uploader_(store, job.root_id,
                  {std::min<size_t>(kGroupChunksMax, kGroupBytesMax / job.chunk_bytes),
                   kGroupBytesMax, kUploadThreads},
                  error_, job.group_put) {}

  Result<SealStats> run() {
    const unsigned count = bounded_threads(job_.threads, job_.chunk_bytes, kPlaintextBytesMax);
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < count; ++i) threads.emplace_back([this] { seal_windows(); });
    seal_windows();
    for (std::thread& thread : threads) thread.join();
    SealStats stats;
    stats.upload = uploader_.finish();
    TRY(error_.result());
    stats.data_pages = data_pages_;
    stats.zero_pages = zero_pages_;
    stats.duplicate_chunks = duplicates_;
    stats.buffer_waits = pool_.waits();
    return stats;
  }

 private:
  /// The body of one thread.
  void seal_windows() {
    WindowReader reader(job_.chunk_bytes / kPageBytes);
    ChunkSealer sealer(salt_);
    while (!error_.failed()) {
      if (progress_.cancelled()) {
        error_.set({ErrorCode::kInterrupted, "stopped before the snapshot was complete"});
        return;
      }
      const std::optional<Window> window = cursor_.next();
      if (!window) return;
      const Result<void> sealed = seal_window(*window, reader, sealer);
      if (!sealed) error_.set(sealed.error());
    }
  }

  Result<void> seal_window(const Window& window, WindowReader& reader, ChunkSealer& sealer) {
    TRY(reader.read(*job_.images[window.image], window));
    zero_pages_.fetch_add(reader.zero_pages(), std::memory_order_relaxed);
    data_pages_.fetch_add(reader.pages(), std::memory_order_relaxed);
    if (reader.pages() > 0) TRY(seal_chunk(window.image, reader, sealer));
    progress_.advance((reader.zero_pages() + reader.pages()) * kPageBytes);
    return {};
  }

  Result<void> seal_chunk(size_t image, const WindowReader& reader, ChunkSealer& sealer) {
    SealedChunk chunk{{}, pool_.acquire(), reader.plaintext().size()};
    std::array<std::byte, kKeyBytes> key;
    chunk.id = sealer.seal(reader.plaintext(), {chunk.ciphertext.data(), chunk.bytes}, key);
    const Result<bool> is_new = ledger_.with([&](SnapshotLedger* ledger) {
      return ledger->add(image, reader.extents(), {chunk.id, reader.pages()}, key);
    });
    wipe(key);
    TRY(is_new);
    if (*is_new) {
      uploader_.add(std::move(chunk));
    } else {
      duplicates_.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
  }

  const SealJob& job_;
  const SecretBytes& salt_;
  Progress& progress_;
  FirstError error_;
  Guarded<SnapshotLedger*> ledger_;
  WindowCursor cursor_;
  std::atomic<uint64_t> data_pages_{0};
  std::atomic<uint64_t> zero_pages_{0};
  std::atomic<uint64_t> duplicates_{0};
  BufferPool pool_;         // outlives the uploader, which holds its buffers
  ChunkUploader uploader_;  // its threads end before all else goes
};

}  // namespace

Result<SealStats> seal_images(const SealJob& job, const SecretBytes& salt, ObjectStore& store,
                              SnapshotLedger& ledger, Progress& progress) {
  return Sealers(job, salt, store, ledger, progress).run();
}

}  // namespace thaw
