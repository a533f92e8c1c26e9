// SPDX-License-Identifier: Apache-2.0
//
// prefault_all: a whole image from memory (verified ciphertext) into a guest, against a loop that
// only decrypts and copies.
#include <sched.h>

#include <chrono>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

// Threads started while it lives stay on one core.
class OneCore {
 public:
  explicit OneCore(bool pin) : pin_(pin) {
    if (!pin_) return;
    CHECK(::sched_getaffinity(0, sizeof before_, &before_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
  }
  ~OneCore() {
    if (pin_) CHECK(::sched_setaffinity(0, sizeof before_, &before_) == 0);
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;

 private:
  const bool pin_;
  cpu_set_t before_{};
};

class PrefaultBench {
 public:
  explicit PrefaultBench(const BenchScale& scale)
      : snapshot_(make_snapshot(store_, {.chunk_bytes = kChunkBytesDefault,
                                         .memory_pages = scale.smoke ? 1024u : 65536u,
                                         .zero_share = 0,
                                         .mean_run_pages = 1000,
                                         .vmstate_bytes = 0})),
        stack_(*TierStack::create(store_, fetchers_, {.memory = {.bytes_max = kGiB}})) {
    const Bytes manifest =
        *store_.get(manifest_key(snapshot_.target.root_id, snapshot_.target.manifest), kGiB);
    image_ = *ResumeImage::make(*decode_manifest(manifest, snapshot_.keys));
    for (uint32_t chunk = 0; chunk < image_->chunk_count(); ++chunk) {
      chunks_.push_back(
          *fetch_and_wait(stack_->top(), request_for(image_->manifest(), chunk, Priority::kFault)));
    }
  }

  double ours_gb_per_s(unsigned threads) {
    const OneCore pin(threads == 1);
    ConnectedVmm vmm = idle_vmm();
    WorkerPool workers(threads, 65536);
    SessionOptions options;
    options.prefault = Prefault::kAll;
    options.prefault_lanes = threads;
    std::atomic<bool> ended{false};
    const Clock::time_point begin = Clock::now();
    const auto session = *Session::start(image_, stack_->top(), workers, std::move(vmm.handshake),
                                         std::move(vmm.peer), options, [&] {
                                           ended = true;
                                           ended.notify_one();
                                         });
    ended.wait(false);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    CHECK(session->summary().end == SessionEnd::kComplete);
    CHECK(session->summary().pages_present == image_->map().page_count());
    return static_cast<double>(image_->memory().bytes) / seconds / 1e9;
  }

  // The loop that only decrypts and copies, each thread over its share of the extents.
  double bare_gb_per_s(unsigned threads) {
    const OneCore pin(threads == 1);
    const ConnectedVmm vmm = idle_vmm();
    const std::span<const Extent> extents = image_->map().extents();
    const Clock::time_point begin = Clock::now();
    std::vector<std::thread> running;
    for (unsigned i = 1; i < threads; ++i) {
      running.emplace_back([&, i] { bare_share(vmm, share_of(extents, i, threads)); });
    }
    bare_share(vmm, share_of(extents, 0, threads));
    for (std::thread& thread : running) thread.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return static_cast<double>(image_->memory().bytes) / seconds / 1e9;
  }

 private:
  static std::span<const Extent> share_of(std::span<const Extent> extents, size_t i, size_t of) {
    const size_t begin = extents.size() * i / of;
    return extents.subspan(begin, extents.size() * (i + 1) / of - begin);
  }

  void bare_share(const ConnectedVmm& vmm, std::span<const Extent> extents) const {
    const uint64_t base = vmm.handshake.regions[0].address;
    CtrCipher cipher;
    AlignedBuffer plain(kChunkBytesDefault);
    for (const Extent& extent : extents) {
      cipher.set_key(image_->manifest().chunk_key(extent.chunk));
      decrypt_pages(cipher, chunks_[extent.chunk]->ciphertext(), extent.slot, extent.count,
                    plain.data());
      const InstallOutcome outcome =
          vmm.handshake.uffd.copy(base + uint64_t{extent.page} * kPageBytes, plain.data(),
                                  uint64_t{extent.count} * kPageBytes);
      CHECK(outcome.status == InstallStatus::kDone);
    }
  }

  ConnectedVmm idle_vmm() {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = dir_.file("sock");
    options.regions = {{image_->memory().bytes, 0}};
    options.touching.order = ReplayTouching::Order::kNone;
    options.hold_before_exit = true;
    return *connect_vmm(options, image_->memory().bytes);
  }

  TempDir dir_{"/dev/shm"};
  MemoryStore store_;
  SnapshotFixture snapshot_;
  WorkerPool fetchers_{2, 65536};
  std::unique_ptr<TierStack> stack_;
  std::shared_ptr<const ResumeImage> image_;
  std::vector<ChunkRef> chunks_;
};

}  // namespace

std::vector<Comparison> bench_prefault(const BenchScale& scale) {
  PrefaultBench bench(scale);
  std::vector<Comparison> results;
  results.push_back(compare(
      {"prefault_all", "whole image over bare copy and decrypt, one core", "GB/s", 0.8, true},
      scale.rounds(), [&] { return bench.ours_gb_per_s(1); },
      [&] { return bench.bare_gb_per_s(1); }));
  if (std::thread::hardware_concurrency() < 2) return results;
  results.push_back(compare(
      {"prefault_all_two_cores", "whole image on two cores over the same on one", "GB/s", 1.7,
       true},
      scale.rounds(), [&] { return bench.ours_gb_per_s(2); },
      [&] { return bench.ours_gb_per_s(1); }));
  // What the machine itself gives two threads at this moment.
  results.push_back(compare(
      {"prefault_all_two_cores_bare", "whole image on two cores over bare copy and decrypt on two",
       "GB/s", 0.8, true},
      scale.rounds(), [&] { return bench.ours_gb_per_s(2); },
      [&] { return bench.bare_gb_per_s(2); }));
  return results;
}

}  // namespace thaw
