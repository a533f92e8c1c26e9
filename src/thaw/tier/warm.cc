// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/warm.h"

#include <chrono>
#include <condition_variable>
#include <optional>
#include <thread>

#include "thaw/base/guarded.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr uint32_t kFetchesMax = 32;
/// A pause while caches catch up: about the time a disk takes for a chunk.
constexpr std::chrono::milliseconds kPause{1};
/// What waits for the zone's nodes at most; less than a zone client takes before it refuses.
constexpr uint64_t kPutBytesMax = 16 * kMiB;
/// For how long a put that no node answers is waited for: more than a put may take.
constexpr std::chrono::seconds kDrainMax{10};

// The fetches under way, and what became of them.
class Window {
 public:
  void begin() {
    MutexLock lock(mutex_);
    while (under_way_ >= kFetchesMax) lock.wait(changed_);
    ++under_way_;
  }
  void end(const Result<ChunkRef>& result) {
    const MutexLock lock(mutex_);
    if (!result && !error_) error_ = result.error();
    --under_way_;
    changed_.notify_all();
  }
  void wait_for_all() {
    MutexLock lock(mutex_);
    while (under_way_ > 0) lock.wait(changed_);
  }
  std::optional<Error> error() {
    const MutexLock lock(mutex_);
    return error_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  uint32_t under_way_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

uint64_t put_bytes(const TierStack& tiers) {
  return tiers.zone_client() == nullptr ? 0 : tiers.zone_client()->status().put_bytes_in_flight;
}

void wait_while_behind(const TierStack& tiers, const Progress& progress) {
  while (!progress.cancelled() &&
         (tiers.fills_waiting() > tiers.fills_max() / 2 || put_bytes(tiers) > kPutBytesMax)) {
    std::this_thread::sleep_for(kPause);
  }
}

void wait_until_kept(TierStack& tiers) {
  tiers.finish_fills();
  const Deadline end = deadline_in(kDrainMax);
  while (put_bytes(tiers) > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kPause);
  }
}

WarmReport report_of(const TierStack& tiers) {
  const auto value = [](const std::atomic<uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  WarmReport report;
  report.from_origin = value(tiers.origin().counters().chunks);
  if (const LocalTier* local = tiers.local()) {
    report.from_local = value(local->counters().hits);
    report.not_kept +=
        value(local->counters().fills_refused) + value(local->counters().fill_errors);
  }
  if (const ZoneTier* zone = tiers.zone()) {
    report.from_zone = value(zone->counters().hits);
    const ZoneStatus status = tiers.zone_client()->status();
    report.not_kept += value(zone->counters().fills_refused) +
                       (status.puts - status.puts_complete) + status.puts_refused +
                       status.puts_too_large;
  }
  return report;
}

}  // namespace

Result<WarmReport> warm(TierStack& tiers, std::span<const ChunkRequest> chunks,
                        Progress& progress) {
  uint64_t bytes = 0;
  for (const ChunkRequest& chunk : chunks) bytes += chunk.pages * kPageBytes;
  progress.bytes_total = bytes;
  progress.bytes_done = 0;
  Window window;
  for (const ChunkRequest& chunk : chunks) {
    wait_while_behind(tiers, progress);
    if (progress.cancelled() || window.error()) break;
    window.begin();
    tiers.top().fetch(chunk, [&, size = chunk.pages * kPageBytes](const Result<ChunkRef>& result) {
      if (result) progress.advance(size);
      window.end(result);
    });
  }
  window.wait_for_all();
  if (std::optional<Error> error = window.error()) return fail(std::move(*error));
  if (progress.cancelled()) return fail(ErrorCode::kInterrupted, "stopped while warming");
  wait_until_kept(tiers);
  WarmReport report = report_of(tiers);
  report.chunks = chunks.size();
  report.bytes = bytes;
  return report;
}

}  // namespace thaw
