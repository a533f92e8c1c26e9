// SPDX-License-Identifier: Apache-2.0
//
// parallel: a burst of resumes of several snapshots at once from the local tier: how fast it
// installs them all, over threads that only decrypt and copy the same pages from memory; and how
// much longer the slowest waits than the median.
#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/bench/bench_functions.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/replay/guest_thread.h"
#include "thaw/store/dir_store.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"
#include "thaw/tier/warm.h"

namespace thaw {
namespace {

class Burst {
 public:
  explicit Burst(const BenchScale& scale)
      : traces_(load_function_traces(scale.smoke)), resumes_(scale.smoke ? 4 : 64) {
    CHECK(make_directories(memory_dir_.file("store")));
    store_ = *DirStore::create(memory_dir_.file("store"));
    Catalog catalog(*store_);
    CHECK(catalog.initialise());
    for (size_t i = 0; i < (scale.smoke ? 2 : 16); ++i) {
      FunctionSnapshotOptions options;
      options.name = "snapshot" + std::to_string(i);
      options.seed = i + 1;
      options.oracle_path = memory_dir_.file(options.name);
      options.packs = false;
      snapshots_.push_back(
          *FunctionSnapshot::make(catalog, keys_, traces_[i % traces_.size()], options));
    }
    const auto stack = make_stack();
    for (const auto& snapshot : snapshots_) {
      Progress progress;
      const auto warmed = warm(*stack, snapshot->touched_chunks(), progress);
      CHECK(warmed && warmed->not_kept == 0);
      for (uint32_t chunk = 0; chunk < hot_chunks(*snapshot); ++chunk) {
        const Manifest& manifest = snapshot->image(Layout::kHot)->manifest();
        in_memory_[snapshot.get()].push_back(
            *fetch_and_wait(stack->top(), request_for(manifest, chunk, Priority::kFault)));
      }
    }
  }

  struct Figures {
    double gb_per_s = 0;
    double median_ms = 0;
    double p99_ms = 0;
  };

  Figures ours() {
    const auto stack = make_stack();
    std::vector<ConnectedVmm> vmms = connect(ReplayTouching::Order::kTrace);
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<uint64_t> begun_ns;
    for (size_t i = 0; i < vmms.size(); ++i) {
      SessionOptions options;
      options.strategy = Strategy::kHot;
      begun_ns.push_back(monotonic_ns());
      sessions.push_back(*Session::start(of(i).image(Layout::kHot), stack->top(), workers_,
                                         std::move(vmms[i].handshake), std::move(vmms[i].peer),
                                         options, [] {}));
      vmms[i].process->proceed();
    }
    for (ConnectedVmm& vmm : vmms) CHECK(vmm.process->wait_for(ReplayVmmEvent::Kind::kTouched));
    std::vector<double> ms;
    uint64_t end_ns = 0;
    double bytes = 0;
    for (size_t i = 0; i < vmms.size(); ++i) {
      vmms[i].process->proceed();
      const ReplayVmmResult& result = vmms[i].process->wait();
      CHECK(result.passed());
      end_ns = std::max(end_ns, result.report->touched_at_ns);
      ms.push_back(static_cast<double>(result.report->touched_at_ns - begun_ns[i]) / 1e6);
      sessions[i]->stop();
      bytes += static_cast<double>(sessions[i]->summary().pages_copied * kPageBytes);
    }
    CHECK(stack->origin().counters().requests == 0);
    std::ranges::sort(ms);
    Figures figures;
    figures.gb_per_s = bytes / static_cast<double>(end_ns - begun_ns[0]);
    figures.median_ms = ms[ms.size() / 2];
    figures.p99_ms = ms[ms.size() * 99 / 100];
    return figures;
  }

  double bare_gb_per_s() {
    std::vector<ConnectedVmm> vmms = connect(ReplayTouching::Order::kNone);
    struct Task {
      size_t resume;
      uint32_t chunk;
    };
    std::vector<Task> tasks;
    for (size_t i = 0; i < vmms.size(); ++i) {
      for (uint32_t chunk = 0; chunk < hot_chunks(of(i)); ++chunk) tasks.push_back({i, chunk});
    }
    std::atomic<size_t> next{0};
    std::atomic<uint64_t> pages{0};
    const uint64_t begin_ns = monotonic_ns();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < WorkerOptions().thread_count(); ++t) {
      threads.emplace_back([&] {
        CtrCipher cipher;
        AlignedBuffer plain(kChunkBytesDefault);
        for (size_t at = next++; at < tasks.size(); at = next++) {
          pages +=
              install(vmms[tasks[at].resume], of(tasks[at].resume), tasks[at].chunk, cipher, plain);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const uint64_t end_ns = monotonic_ns();
    return static_cast<double>(pages * kPageBytes) / static_cast<double>(end_ns - begin_ns);
  }

 private:
  const FunctionSnapshot& of(size_t resume) const {
    return *snapshots_[resume % snapshots_.size()];
  }
  static uint32_t hot_chunks(const FunctionSnapshot& snapshot) {
    return snapshot.image(Layout::kHot)->manifest().hot.chunks;
  }

  std::vector<ConnectedVmm> connect(ReplayTouching::Order order) const {
    std::vector<ConnectedVmm> vmms;
    for (size_t i = 0; i < resumes_; ++i) {
      ReplayVmmOptions options = of(i).vmm();
      options.socket_path = memory_dir_.file("sock");
      options.touching.order = order;
      options.hold_before_touching = true;
      options.hold_before_check = true;
      vmms.push_back(*connect_vmm(options, of(i).bytes()));
    }
    return vmms;
  }

  // The pages of a chunk as a careful loop installs them: decrypted at once, copied in runs.
  uint64_t install(const ConnectedVmm& vmm, const FunctionSnapshot& snapshot, uint32_t chunk,
                   CtrCipher& cipher, AlignedBuffer& plain) const {
    const ResumeImage& image = *snapshot.image(Layout::kHot);
    const ByteSpan ciphertext = in_memory_.at(&snapshot)[chunk]->ciphertext();
    cipher.set_key(image.manifest().chunk_key(chunk));
    cipher.apply(0, ciphertext, plain.data());
    uint64_t pages = 0;
    for (const uint32_t index : image.extents_of(chunk)) {
      const Extent& extent = image.map().extents()[index];
      const InstallOutcome outcome = vmm.handshake.uffd.copy(
          vmm.handshake.regions[0].address + uint64_t{extent.page} * kPageBytes,
          plain.data() + size_t{extent.slot} * kPageBytes, uint64_t{extent.count} * kPageBytes);
      CHECK(outcome.status == InstallStatus::kDone);
      pages += extent.count;
    }
    return pages;
  }

  std::unique_ptr<TierStack> make_stack() {
    LocalTierOptions local;
    local.cache.path = disk_dir_.file("cache");
    local.cache.bytes_max = 3 * kGiB;
    return *TierStack::create(*store_, workers_, {.local = local});
  }

  const TempDir memory_dir_{"/dev/shm"};
  const TempDir disk_dir_{"/var/tmp"};
  const std::vector<FunctionTrace> traces_;
  const size_t resumes_;
  const FixedKeys keys_;
  std::unique_ptr<DirStore> store_;
  std::vector<std::unique_ptr<FunctionSnapshot>> snapshots_;
  std::map<const FunctionSnapshot*, std::vector<ChunkRef>>
      in_memory_;  // hot chunks, for the bare way
  WorkerPool workers_{WorkerOptions().thread_count(), 65536};
};

}  // namespace

std::vector<Comparison> bench_parallel(const BenchScale& scale) {
  Burst burst(scale);
  std::vector<double> p99_over_median;
  const Comparison bandwidth = compare(
      {.name = "parallel",
       .what = "64 resumes of 16 snapshots from the local disk over bare decryption and copies",
       .unit = "GB/s",
       .target = 0.8,
       .at_least = true},
      scale.rounds(),
      [&] {
        const Burst::Figures figures = burst.ours();
        p99_over_median.push_back(figures.p99_ms / figures.median_ms);
        return figures.gb_per_s;
      },
      [&] { return burst.bare_gb_per_s(); });
  return {bandwidth,
          against_limit("parallel_p99", "p99 of these resumes over three times their median",
                        "times", 3, false, p99_over_median)};
}

}  // namespace thaw
