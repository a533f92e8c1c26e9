// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/slot_scan.h"

#include <liburing.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/check.h"
#include "thaw/base/guarded.h"

namespace thaw {
namespace {

/// A ring for reads of one size. Not made where the kernel or a seccomp filter refuses it.
class ReadRing {
 public:
  static std::unique_ptr<ReadRing> make(uint32_t depth) {
    auto ring = std::unique_ptr<ReadRing>(new ReadRing());
    if (::io_uring_queue_init(depth, &ring->ring_, 0) < 0) return nullptr;
    ring->open_ = true;
    return ring;
  }
  ~ReadRing() {
    if (open_) ::io_uring_queue_exit(&ring_);
  }
  ReadRing(const ReadRing&) = delete;
  ReadRing& operator=(const ReadRing&) = delete;

  /// There is room for it: the caller keeps no more under way than the depth.
  void queue(int fd, uint64_t offset, MutableByteSpan out, uint64_t tag) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    CHECK(entry != nullptr);
    ::io_uring_prep_read(entry, fd, out.data(), static_cast<unsigned>(out.size()), offset);
    entry->user_data = tag;
  }
  /// Starts what is queued and waits for one; its tag and outcome (bytes, or minus errno).
  /// False if the ring itself fails.
  bool wait(uint64_t& tag, int& outcome) {
    int submitted = 0;
    do {
      submitted = ::io_uring_submit_and_wait(&ring_, 1);
    } while (submitted == -EINTR);
    if (submitted < 0) return false;
    io_uring_cqe* done = nullptr;
    int waited = 0;
    do {
      waited = ::io_uring_wait_cqe(&ring_, &done);
    } while (waited == -EINTR);
    if (waited < 0) return false;
    tag = done->user_data;
    outcome = done->res;
    ::io_uring_cqe_seen(&ring_, done);
    return true;
  }

 private:
  ReadRing() = default;
  io_uring ring_{};
  bool open_ = false;
};

/// Whatever goes wrong with a read of the ring, a plain read decides.
void visit_read(BlockFile& file, const CacheGeometry& geometry, uint32_t slot,
                MutableByteSpan buffer, bool complete, const VisitHeader& visit) {
  if (!complete) complete = file.read(geometry.slot_offset(slot), buffer, {}).has_value();
  visit(slot, complete ? ByteSpan(buffer) : ByteSpan());
}

/// Marks what it visits; all of it, unless the ring cannot be made or fails.
void scan_by_ring(BlockFile& file, const CacheGeometry& geometry, uint32_t depth,
                  const VisitHeader& visit, std::vector<bool>& visited) {
  depth = std::clamp<uint32_t>(depth, 1, geometry.slots);
  const uint32_t bytes = geometry.header_bytes();
  const std::unique_ptr<ReadRing> ring = ReadRing::make(depth);
  if (ring == nullptr) return;
  auto buffers = std::make_unique<AlignedBuffer>(size_t{depth} * bytes);
  const auto buffer_of = [&](uint64_t place) {
    return buffers->span().subspan(place * bytes, bytes);
  };
  std::vector<uint32_t> slot_at(depth);
  uint32_t next = 0;
  uint32_t under_way = 0;
  const auto queue = [&](uint64_t place) {
    slot_at[place] = next;
    ring->queue(file.descriptor(), geometry.slot_offset(next++), buffer_of(place), place);
    ++under_way;
  };
  for (uint32_t place = 0; place < depth; ++place) queue(place);
  while (under_way > 0) {
    uint64_t place = 0;
    int outcome = 0;
    if (!ring->wait(place, outcome)) {
      // Short of memory, say. The kernel may still write to the buffers, whenever: they are given
      // up for that.
      [[maybe_unused]] const AlignedBuffer* given_up = buffers.release();
      return;
    }
    --under_way;
    visit_read(file, geometry, slot_at[place], buffer_of(place), outcome == static_cast<int>(bytes),
               visit);
    visited[slot_at[place]] = true;
    if (next < geometry.slots) queue(place);
  }
}

/// Visits what is not marked.
void scan_by_threads(BlockFile& file, const CacheGeometry& geometry, uint32_t threads,
                     const VisitHeader& visit, const std::vector<bool>& visited) {
  std::atomic<uint32_t> next{0};
  Mutex visiting;
  const auto run = [&] {
    AlignedBuffer buffer(geometry.header_bytes());
    for (uint32_t slot = next++; slot < geometry.slots; slot = next++) {
      if (visited[slot]) continue;
      const bool complete = file.read(geometry.slot_offset(slot), buffer.span(), {}).has_value();
      const MutexLock lock(visiting);
      visit(slot, complete ? buffer.span() : MutableByteSpan());
    }
  };
  std::vector<std::thread> running;
  const uint32_t count = std::clamp<uint32_t>(threads, 1, geometry.slots);
  for (uint32_t i = 1; i < count; ++i) running.emplace_back(run);
  run();
  for (std::thread& thread : running) thread.join();
}

}  // namespace

bool scan_headers(BlockFile& file, const CacheGeometry& geometry, const SlotScanOptions& options,
                  const VisitHeader& visit) {
  std::vector<bool> visited(geometry.slots, false);
  if (options.io_uring && file.descriptor() >= 0) {
    scan_by_ring(file, geometry, options.queue_depth, visit, visited);
  }
  if (std::find(visited.begin(), visited.end(), false) == visited.end()) return true;
  scan_by_threads(file, geometry, options.threads, visit, visited);
  return false;
}

}  // namespace thaw
