// SPDX-License-Identifier: Apache-2.0
//
// zone_node_lost: whole restores from the zone with one of six servers dead, over all of them
// alive. single_flight: 64 restores at once with every cache empty and an origin of 36 ms: how
// often the origin is asked for a chunk, and what the worker's memory is.
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/stack.h"
#include "thaw/tier/warm.h"
#include "thaw/zone/loopback_zone.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

class Restores {
 public:
  explicit Restores(uint64_t pages)
      : snapshot_(make_snapshot(store_, {.chunk_bytes = kChunkBytesDefault,
                                         .memory_pages = pages,
                                         .zero_share = 0.5,
                                         .mean_run_pages = 8,
                                         .vmstate_bytes = 0})) {
    const Bytes manifest =
        *store_.get(manifest_key(snapshot_.target.root_id, snapshot_.target.manifest), kGiB);
    image_ = *ResumeImage::make(*decode_manifest(manifest, snapshot_.keys));
    CHECK(replace_file(dir_.file("oracle"), snapshot_.oracle(ImageKind::kMemory), 0600));
  }

  const MemoryStore& store() const { return store_; }
  const ResumeImage& image() const { return *image_; }

  std::vector<ChunkRequest> chunks() const {
    std::vector<ChunkRequest> requests;
    for (uint32_t i = 0; i < image_->chunk_count(); ++i) {
      requests.push_back(request_for(image_->manifest(), i, Priority::kPrefetch));
    }
    return requests;
  }

  /// Resumes `count` VMs at once; each touches every page and compares it. Milliseconds from the
  /// first handshake until the last VM has compared its last page; `during` runs before they end.
  double run(int count, TierStack& tiers, WorkerPool& workers, const SessionOptions& session,
             const std::function<void()>& during = nullptr) {
    std::vector<ConnectedVmm> vmms;
    for (int i = 0; i < count; ++i) {
      ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
      options.socket_path = dir_.file("sock");
      options.image_path = dir_.file("oracle");
      options.regions = {{image_->memory().bytes, 0}};
      options.touching.order = ReplayTouching::Order::kPermutation;
      options.touching.seed = static_cast<uint64_t>(i);
      options.touching.every_page = true;
      options.hold_before_touching = true;
      options.hold_before_exit = true;
      vmms.push_back(*connect_vmm(options, image_->memory().bytes));
    }
    std::vector<std::unique_ptr<Session>> sessions;
    const Clock::time_point begin = Clock::now();
    for (ConnectedVmm& vmm : vmms) {
      sessions.push_back(*Session::start(image_, tiers.top(), workers, std::move(vmm.handshake),
                                         std::move(vmm.peer), session, [] {}));
      vmm.process->proceed();
    }
    for (ConnectedVmm& vmm : vmms) CHECK(vmm.process->wait_for(ReplayVmmEvent::Kind::kReport));
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    if (during) during();
    for (ConnectedVmm& vmm : vmms) {
      vmm.process->proceed();
      CHECK(vmm.process->wait().passed());
    }
    return ms;
  }

 private:
  TempDir dir_{"/dev/shm"};
  MemoryStore store_;
  SnapshotFixture snapshot_;
  std::shared_ptr<const ResumeImage> image_;
};

// Restores from a zone that has the whole snapshot; nothing else keeps a chunk.
class ZoneRestores {
 public:
  ZoneRestores(Restores& restores, const LoopbackZone& servers, unsigned parity)
      : restores_(restores) {
    tiers_ = *TierStack::create(restores.store(), workers_,
                                {.memory = {.bytes_max = 0}, .zone = servers.options(1, parity)});
    CHECK(wait_until_up(*tiers_->zone_client(), servers.nodes()));
    Progress progress;
    const auto warmed = warm(*tiers_, restores.chunks(), progress);
    CHECK(warmed && warmed->not_kept == 0);
    origin_before_ = tiers_->origin().counters().requests;
  }

  double run_ms(const SessionOptions& session) {
    return restores_.run(1, *tiers_, workers_, session);
  }
  uint64_t extra_origin_gets() const {
    return tiers_->origin().counters().requests - origin_before_;
  }

 private:
  Restores& restores_;
  WorkerPool workers_{WorkerOptions().thread_count(), 65536};
  std::unique_ptr<TierStack> tiers_;
  uint64_t origin_before_ = 0;
};

std::vector<Comparison> bench_node_lost(const BenchScale& scale) {
  Restores restores(scale.smoke ? 2048 : 16384);
  constexpr unsigned kServers = 6;
  const auto whole = *LoopbackZone::start(kServers, {.memory_mib = 256, .threads = 1});
  const auto broken = *LoopbackZone::start(kServers, {.memory_mib = 256, .threads = 1});
  ZoneRestores whole_4_1(restores, *whole, 1);
  ZoneRestores lost_4_1(restores, *broken, 1);
  ZoneRestores whole_4_2(restores, *whole, 2);
  ZoneRestores lost_4_2(restores, *broken, 2);
  broken->server(0).kill();
  const auto lost_over_whole = [&](const std::string& name, const std::string& what,
                                   const SessionOptions& session, ZoneRestores& lost,
                                   ZoneRestores& all) {
    return compare(
        {.name = name, .what = what, .unit = "ms", .target = 1.1}, scale.rounds(),
        [&] { return lost.run_ms(session); }, [&] { return all.run_ms(session); });
  };
  // A guest that waits for one chunk after the other: a read of 4+1 that has lost a node waits for
  // the slowest of four instead of the fourth of five, and there is nothing to hide it behind.
  const Comparison on_demand = lost_over_whole(
      "zone_node_lost", "restore on demand from the zone, one of six servers dead over none", {},
      lost_4_1, whole_4_1);
  SessionOptions prefault;
  prefault.prefault = Prefault::kAll;
  prefault.prefault_lanes = 8;
  const Comparison prefaulted =
      lost_over_whole("zone_node_lost_prefault", "the same with a prefault of 8 lanes", prefault,
                      lost_4_1, whole_4_1);
  const Comparison two_parities =
      lost_over_whole("zone_node_lost_4_2", "on demand, chunks cut 4+2", {}, lost_4_2, whole_4_2);
  const auto extra =
      static_cast<double>(lost_4_1.extra_origin_gets() + lost_4_2.extra_origin_gets());
  Comparison gets;
  gets.name = "zone_node_lost_origin_gets";
  gets.what = "extra GETs at the origin in all these restores";
  gets.unit = "GETs";
  gets.ratio = {extra, extra, extra};
  gets.ours = extra;
  return {on_demand, prefaulted, two_parities, gets};
}

double resident_mib() {
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / kMiB;
}

std::vector<Comparison> bench_single_flight(const BenchScale& scale) {
  const int sessions = scale.smoke ? 4 : 64;
  Restores restores(scale.smoke ? 512 : 8192);
  std::set<ChunkId> distinct;
  for (const Extent& extent : restores.image().map().extents()) {
    distinct.insert(restores.image().manifest().clear.chunks[extent.chunk].id);
  }
  std::vector<double> gets, memory, seconds;
  for (int round = 0; round < std::min(scale.rounds(), 3); ++round) {
    WorkerPool workers(WorkerOptions().thread_count(), 65536);
    const auto tiers = *TierStack::create(
        restores.store(), workers,
        {.origin_shape = latency_preset("origin"), .seed = static_cast<uint64_t>(round + 1)});
    const double before = resident_mib();
    seconds.push_back(restores.run(sessions, *tiers, workers, {}, [&] {
      memory.push_back(resident_mib() - before);
    }) / 1000);
    gets.push_back(static_cast<double>(tiers->origin().counters().requests));
  }
  return {
      against_limit("single_flight", "origin GETs of 64 restores at once over distinct chunks",
                    "GETs", static_cast<double>(distinct.size()), false, gets),
      against_limit("restores_64_memory", "resident memory of 64 restores at once, chunks included",
                    "MiB", 512, false, memory),
      against_limit("restores_64_time", "64 restores at once, empty caches, origin of 36 ms", "s",
                    60, false, seconds)};
}

}  // namespace

std::vector<Comparison> bench_restores(const BenchScale& scale) {
  std::vector<Comparison> results = bench_single_flight(scale);
  if (!MemcachedProcess::unavailable().empty()) return results;
  for (Comparison& result : bench_node_lost(scale)) results.push_back(std::move(result));
  return results;
}

}  // namespace thaw
