// SPDX-License-Identifier: Apache-2.0
//
// fault_ondemand_hit: what thaw adds to a fault whose chunk is in memory (page map, decryption,
// bookkeeping, removals) over a handler that only copies from a plain buffer. placement_*: the same
// fault by where it is served, the guest's thread being on one core.
#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/page_server.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/bare_handler.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

class FaultBench {
 public:
  explicit FaultBench(const BenchScale& scale)
      : snapshot_(make_snapshot(store_, {.chunk_bytes = kChunkBytesDefault,
                                         .memory_pages = scale.smoke ? 256u : 8192u,
                                         .zero_share = 0,
                                         .mean_run_pages = 64,
                                         .vmstate_bytes = 0})),
        stack_(*TierStack::create(store_, workers_, {.memory = {.bytes_max = kGiB}})) {
    const Bytes& plain = snapshot_.oracle(ImageKind::kMemory);
    CHECK(replace_file(dir_.file("memory"), plain, 0600));
    const Bytes manifest =
        *store_.get(manifest_key(snapshot_.target.root_id, snapshot_.target.manifest), kGiB);
    image_ = *ResumeImage::make(*decode_manifest(manifest, snapshot_.keys));
    for (uint32_t chunk = 0; chunk < image_->chunk_count(); ++chunk) {
      CHECK(
          fetch_and_wait(stack_->top(), request_for(image_->manifest(), chunk, Priority::kFault)));
    }
  }

  // p50 and p99 of a first touch, in ns.
  std::vector<double> ours(int vmm_core, const PlacementOptions& placement) {
    PageServerOptions options;
    options.session.fill = Fill::kPage;
    options.session.held_chunks_max = image_->chunk_count();
    options.session.placement = placement;
    const auto server =
        *PageServer::create(dir_.file("sock"), image_, stack_->top(), workers_, options, {});
    std::thread serving([&] { CHECK(server->run()); });
    const std::vector<double> figures = touch(vmm_core, /*thread_id=*/true);
    serving.join();
    return figures;
  }

  std::vector<double> bare(int vmm_core, int handler_core) {
    BareHandlerOptions options;
    options.socket_path = dir_.file("sock");
    options.image = snapshot_.oracle(ImageKind::kMemory);
    options.core = handler_core;
    const auto handler = *BareHandler::start(options);
    const std::vector<double> figures = touch(vmm_core, /*thread_id=*/false);
    CHECK(handler->stop().error.empty());
    return figures;
  }

 private:
  std::vector<double> touch(int core, bool thread_id) {
    ReplayVmmOptions vmm = ReplayVmmOptions::firecracker(Generation::kV1_12);
    vmm.socket_path = dir_.file("sock");
    vmm.image_path = dir_.file("memory");
    vmm.regions = {{image_->memory().bytes, 0}};
    vmm.touching.order = ReplayTouching::Order::kPermutation;
    vmm.touching.check = ReplayTouching::Check::kAfterTrace;
    vmm.touching.cores = {core};
    vmm.thread_id = thread_id;
    const auto process = *ReplayVmm::start(vmm);
    const ReplayVmmResult& result = process->wait();
    CHECK(result.passed());
    const LatencySummary& latency = result.report->first_touch;
    return {static_cast<double>(latency.p50_ns), static_cast<double>(latency.p99_ns)};
  }

  TempDir dir_{"/dev/shm"};
  MemoryStore store_;
  SnapshotFixture snapshot_;
  WorkerPool workers_{2, 4096};
  std::unique_ptr<TierStack> stack_;
  std::shared_ptr<const ResumeImage> image_;
};

}  // namespace

std::vector<Comparison> bench_faults(const BenchScale& scale) {
  FaultBench bench(scale);
  struct CorePair {
    const char* suffix;
    const char* text;
    int vmm_core;
    int handler_core;
  };
  const bool two_cores = std::thread::hardware_concurrency() > 1;
  std::vector<CorePair> placements{{"", "same core", 0, 0}};
  if (two_cores) placements.push_back({"_cross_core", "another core", 0, 1});
  std::vector<Comparison> results;
  for (const CorePair& at : placements) {
    const std::string name = std::string("fault_ondemand_hit") + at.suffix;
    const std::string what = std::string("served fault over bare handler, ") + at.text;
    const std::vector<Comparison> pair = compare_all(
        {{name, what + ", median", "ns", 1.25}, {name + "_p99", what + ", p99", "ns", 1.5}},
        scale.rounds(),
        [&] {
          return bench.ours(at.vmm_core, {.cores = {static_cast<unsigned>(at.handler_core)}});
        },
        [&] { return bench.bare(at.vmm_core, at.handler_core); });
    results.insert(results.end(), pair.begin(), pair.end());
  }
  return results;
}

std::vector<Comparison> bench_placement(const BenchScale& scale) {
  FaultBench bench(scale);
  struct Policy {
    const char* name;
    const char* text;
    PlacementOptions placement;
  };
  const Policy policies[] = {
      {"placement_cores", "fault thread on the guest's core", {.cores = {0}}},
      {"placement_follow", "fault thread follows the guest", {.placement = CorePolicy::kFollow}}};
  std::vector<Comparison> results;
  for (const Policy& policy : policies) {
    const std::string what = std::string(policy.text) + " over anywhere, ";
    const std::vector<Comparison> pair = compare_all(
        {{policy.name, what + "median", "ns", 1.05},
         {std::string(policy.name) + "_p99", what + "p99", "ns", 1.0}},
        scale.rounds(), [&] { return bench.ours(0, policy.placement); },
        [&] { return bench.ours(0, {.placement = CorePolicy::kNone}); });
    results.insert(results.end(), pair.begin(), pair.end());
  }
  return results;
}

}  // namespace thaw
