// SPDX-License-Identifier: Apache-2.0
//
// manifest_open: what it costs to have a large snapshot open: time to decode, time to locate a
// page, memory.
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <random>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kImageBytes = 10 * kGiB;
constexpr uint32_t kExtents = 100'000;

// 10 GiB with 100,000 extents over 20,480 chunks.
Bytes large_manifest(const KeyProvider& keys) {
  constexpr uint32_t kChunks = kImageBytes / kChunkBytesDefault;
  constexpr uint64_t kStride = kImageBytes / kPageBytes / kExtents;
  Manifest manifest;
  manifest.clear.root_id = 1;
  manifest.clear.chunk_bytes = kChunkBytesDefault;
  for (uint32_t i = 0; i < kChunks; ++i) {
    manifest.clear.chunks.push_back({ChunkId{sha256(std::as_bytes(std::span(&i, 1)))}, 128});
  }
  manifest.chunk_keys = SecretBytes::random(size_t{kChunks} * kKeyBytes);
  std::vector<Extent> extents;
  for (uint32_t i = 0; i < kExtents; ++i) {
    const uint32_t page = static_cast<uint32_t>(i * kStride);
    const uint32_t chunk = page / 128;
    extents.push_back({page, chunk, static_cast<uint16_t>(page % 100), 10});
  }
  const std::vector<uint32_t> chunk_pages(kChunks, 128);
  manifest.images.push_back(
      {ImageKind::kMemory, "memory", kImageBytes,
       *PageMap::make(kImageBytes / kPageBytes, std::move(extents), chunk_pages)});
  return *encode_manifest(manifest, keys);
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_ms(const Bytes& bytes, const KeyProvider& keys) {
  const Clock::time_point begin = Clock::now();
  const auto image = *ResumeImage::make(*decode_manifest(bytes, keys));
  const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  CHECK(image->map().extents().size() == kExtents);
  return ms;
}

double lookup_ns(const ResumeImage& image) {
  constexpr int kLookups = 1'000'000;
  std::mt19937_64 random(1);
  std::vector<uint32_t> pages(kLookups);
  for (uint32_t& page : pages) page = static_cast<uint32_t>(random() % image.map().page_count());
  uint64_t sum = 0;
  const Clock::time_point begin = Clock::now();
  for (const uint32_t page : pages) sum += image.map().locate(page).slot;
  const double ns = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
  CHECK(sum != 0);
  return ns / kLookups;
}

// Resident memory that one more open session takes, its manifest included.
double session_bytes(const Bytes& manifest, const KeyProvider& keys, int sessions) {
  TempDir dir("/dev/shm");
  MemoryStore store;
  WorkerPool workers(2, 4096);
  const auto stack = *TierStack::create(store, workers, {});
  struct Open {
    std::unique_ptr<ReplayVmm> process;
    std::unique_ptr<Session> session;
  };
  std::vector<Open> open;
  double before = 0;
  for (int i = 0; i <= sessions; ++i) {
    if (i == 1) before = resident_bytes();  // the first one pays for what all share
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = dir.file("sock");
    options.regions = {{kImageBytes, 0}};
    options.touching.order = ReplayTouching::Order::kNone;
    options.hold_before_exit = true;
    ConnectedVmm vmm = *connect_vmm(options, kImageBytes);
    auto session =
        *Session::start(*ResumeImage::make(*decode_manifest(manifest, keys)), stack->top(), workers,
                        std::move(vmm.handshake), std::move(vmm.peer), {}, {});
    open.push_back({std::move(vmm.process), std::move(session)});
  }
  const double after = resident_bytes();
  for (Open& each : open) {
    each.process->kill(SIGKILL);
    while (!each.session->ended()) ::usleep(1000);
  }
  return (after - before) / sessions;
}

}  // namespace

std::vector<Comparison> bench_manifest(const BenchScale& scale) {
  const FixedKeys keys;
  const Bytes bytes = large_manifest(keys);
  const auto image = *ResumeImage::make(*decode_manifest(bytes, keys));
  std::vector<double> open, lookup, memory;
  // First, and from a trimmed heap, so that nothing is opened in memory that others left behind.
  ::malloc_trim(0);
  memory.push_back(session_bytes(bytes, keys, scale.smoke ? 1 : 6) / kMiB);
  for (int i = 0; i < scale.rounds(); ++i) {
    open.push_back(open_ms(bytes, keys));
    lookup.push_back(lookup_ns(*image));
  }
  constexpr double kSessionMib = 4 + 40.0 * kExtents / kMiB;
  return {against_limit("manifest_open", "10 GiB image, 100,000 extents", "ms", 20, false, open),
          against_limit("manifest_lookup", "locate a random page", "ns", 200, false, lookup),
          against_limit("session_memory", "resident memory of one more open session", "MiB",
                        kSessionMib, false, memory)};
}

}  // namespace thaw
