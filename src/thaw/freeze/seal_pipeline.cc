// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/seal_pipeline.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "thaw/base/guarded.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/freeze/thread_count.h"

namespace thaw {
namespace {

// Windows that a thread seals together: their plaintexts hash side by side
// (ChunkSealer::seal_many). Two get most of the gain; four get all of it, where their buffers still
// leave room for many threads.
constexpr size_t kLanesMax = 4;
constexpr size_t lanes_for(uint32_t chunk_bytes) { return chunk_bytes <= kMiB ? kLanesMax : 2; }

// The pool must hold a group that lacks one chunk and all the buffers that sealers keep while they
// wait for their last one, or everybody would wait for each other. A sealer keeps as many as it has
// lanes, and that many plaintext buffers.
static_assert(kGroupBytesMax + kPlaintextBytesMax <= kCiphertextBytesMax);
static_assert(kGroupBytesMax >= kChunkBytesMax && kPlaintextBytesMax >= kLanesMax * kChunkBytesMax);

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
        uploader_(
            store, job.root_id,
            {kGroupBytesMin, std::min<size_t>(kGroupChunksMax, kGroupBytesMax / job.chunk_bytes),
             kGroupBytesMax, kUploadThreads},
            error_, job.group_put) {}

  Result<SealStats> run() {
    const unsigned count =
        bounded_threads(job_.threads, lane_count_ * job_.chunk_bytes, kPlaintextBytesMax);
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
  /// A window on its way to a chunk.
  struct Lane {
    explicit Lane(uint64_t window_pages) : reader(window_pages) {}
    size_t image = 0;
    std::optional<uint32_t> place;
    WindowReader reader;
    SealedChunk chunk;
    std::array<std::byte, kKeyBytes> key;
  };

  /// The body of one thread.
  void seal_windows() {
    std::vector<Lane> lanes;
    for (size_t i = 0; i < lane_count_; ++i) lanes.emplace_back(job_.chunk_bytes / kPageBytes);
    ChunkSealer sealer(salt_);
    std::optional<PageDigester> digester;
    if (job_.digest_key != nullptr) digester.emplace(*job_.digest_key);
    bool more = true;
    while (more && !error_.failed()) {
      size_t filled = 0;
      while (filled < lane_count_ && more) {
        const Result<bool> found = fill(lanes[filled]);
        if (found && *found) note_digests(lanes[filled], digester);
        if (!found) return error_.set(found.error());
        more = *found;
        if (more) ++filled;
      }
      const Result<void> sealed = seal(std::span(lanes).first(filled), sealer);
      if (!sealed) error_.set(sealed.error());
    }
  }

  /// Reads the next window that is not all zero; false if there is none left or the job has failed.
  Result<bool> fill(Lane& lane) {
    while (!error_.failed()) {
      if (progress_.cancelled()) {
        return fail(ErrorCode::kInterrupted, "stopped before the snapshot was complete");
      }
      const std::optional<Window> window = cursor_.next();
      if (!window) return false;
      TRY(lane.reader.read(*job_.images[window->image].source, *window));
      zero_pages_.fetch_add(lane.reader.zero_pages(), std::memory_order_relaxed);
      data_pages_.fetch_add(lane.reader.pages(), std::memory_order_relaxed);
      progress_.advance(lane.reader.zero_pages() * kPageBytes);
      lane.image = window->image;
      lane.place = window->place;
      if (lane.reader.pages() > 0) return true;
    }
    return false;
  }

  /// Each page is in one window only, so no two threads write one digest.
  void note_digests(const Lane& lane, std::optional<PageDigester>& digester) const {
    std::vector<PageDigest>* const digests = job_.images[lane.image].digests;
    if (digests == nullptr) return;
    ByteSpan pages = lane.reader.plaintext();
    for (const Extent& extent : lane.reader.extents()) {
      for (uint64_t page = extent.page; page < extent.end(); ++page) {
        (*digests)[static_cast<size_t>(page)] = digester->of(pages.first(kPageBytes));
        pages = pages.subspan(kPageBytes);
      }
    }
  }

  Result<void> seal(std::span<Lane> lanes, ChunkSealer& sealer) {
    std::array<SealRequest, kLanesMax> requests;
    std::array<ChunkId, kLanesMax> ids;
    for (size_t i = 0; i < lanes.size(); ++i) {
      Lane& lane = lanes[i];
      const ByteSpan plaintext = lane.reader.plaintext();
      lane.chunk.ciphertext = pool_.acquire();
      lane.chunk.bytes = plaintext.size();
      requests[i] = {plaintext, {lane.chunk.ciphertext.data(), plaintext.size()}, lane.key};
    }
    sealer.seal_many(std::span(requests).first(lanes.size()), std::span(ids).first(lanes.size()));
    for (size_t i = 0; i < lanes.size(); ++i) {
      lanes[i].chunk.id = ids[i];
      const Result<void> taken = hand_over(lanes[i]);
      wipe(lanes[i].key);
      TRY(taken);
    }
    return {};
  }

  Result<void> hand_over(Lane& lane) {
    const Result<bool> is_new = ledger_.with([&](SnapshotLedger* ledger) {
      return ledger->add(lane.image, lane.reader.extents(), {lane.chunk.id, lane.reader.pages()},
                         lane.key, lane.place);
    });
    TRY(is_new);
    progress_.advance(lane.reader.pages() * kPageBytes);
    if (*is_new) {
      uploader_.add(std::exchange(lane.chunk, {}));
    } else {
      lane.chunk = {};
      duplicates_.fetch_add(1, std::memory_order_relaxed);
    }
    return {};
  }

  const SealJob& job_;
  const size_t lane_count_ = lanes_for(job_.chunk_bytes);
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
