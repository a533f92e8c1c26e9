// SPDX-License-Identifier: Apache-2.0
//
// Filler: decides how a fault is served and what is installed besides the faulting page. Two ways:
// unit_filler.h installs whole units (a chunk, or a huge page) as their chunks arrive;
// page_filler.h installs just the pages that the guest asks for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "thaw/base/gate.h"
#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/resume/guest_memory.h"
#include "thaw/resume/resume_image.h"
#include "thaw/resume/scratch.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct FillCounters {
  std::atomic<uint64_t> hits{0};             // faults whose chunks were in memory
  std::atomic<uint64_t> misses{0};           // faults that began a fetch
  std::atomic<uint64_t> joined{0};           // faults on a unit that was on its way
  std::atomic<uint64_t> zero_faults{0};      // faults on zero or given-back pages
  std::atomic<uint64_t> stale{0};            // events that were older than the page's install
  std::atomic<uint64_t> chunks{0};           // chunks taken from the source
  std::atomic<uint64_t> prefetch_errors{0};  // units or slices that could not be loaded ahead
};

/// What a filler needs of its session. Members may be called from any thread.
class FillHost {
 public:
  virtual ~FillHost() = default;

  /// Runs `again` on the event thread, after it has read the events that wait: the answer to
  /// EAGAIN.
  virtual void retry(std::function<void()> again) = 0;
  /// The guest needs this page and cannot have it: poisons it and ends the VMM.
  virtual void fail_closed(uint64_t page, const Error& error) = 0;
  /// The VMM has gone.
  virtual void vmm_gone() = 0;
  /// A part of the image is there: maybe the last one.
  virtual void progress() = 0;
  /// What the guest was held for is there: faults that were kept can be served.
  virtual void guest_released() = 0;
  /// True once the session ends: begin nothing new.
  virtual bool stopping() const = 0;
};

/// The fetches of one session: what they have in common, and how many are under way. Members may be
/// called from any thread.
class Fetches {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Fetches(std::chrono::milliseconds time_max) : time_max_(time_max) {}

  /// The request for a chunk, as this session's and with its deadline.
  ChunkRequest request(uint64_t root_id, const ChunkEntry& chunk, Priority priority) const;
  ChunkRequest request(const Manifest& manifest, uint32_t chunk, Priority priority) const {
    return request(manifest.clear.root_id, manifest.clear.chunks[chunk], priority);
  }

  void begin() { under_way_.fetch_add(1, std::memory_order_relaxed); }
  void end();
  /// No fetch is under way and none has been for `time`: what is under way now is the guest's own
  /// work.
  bool quiet_for(std::chrono::milliseconds time) const;

 private:
  const std::chrono::milliseconds time_max_;
  std::atomic<uint64_t> under_way_{0};
  std::atomic<Clock::rep> last_end_{Clock::now().time_since_epoch().count()};
};

/// What a filler works with; all borrowed from the session.
struct FillContext {
  const ResumeImage& image;
  GuestMemory& memory;
  ChunkSource& source;
  WorkerPool& workers;
  ScratchPool& scratch;
  FillHost& host;
  Gate& gate;  // every fetch and task under way holds a pass
  Fetches& fetches;
  FillCounters& counters;
};

class Filler {
 public:
  virtual ~Filler() = default;

  /// Serves a fault on the event thread, with the install gate open. Never waits for I/O. `page` is
  /// the first of its unit of installation (GuestMemory::unit_pages).
  virtual void fault(uint64_t page) = 0;
};

/// Zero pages are cheap to install in runs (0.1 us a page), so a fault on one takes its neighbours
/// along: those in its aligned window of this many pages.
inline constexpr uint64_t kZeroWindowPages = 64;

/// Serves a fault on a page that is zero or was given back. `window_pages`, a power of two: 1 takes
/// no neighbour along.
PlaceResult place_zero_fault(const ResumeImage& image, GuestMemory& memory, uint64_t page,
                             uint64_t window_pages = kZeroWindowPages);

/// Answers a fault on a page that is present: the event is older than the install, whose wake may
/// have come before the thread slept. If the page is missing all the same, the thread faults again
/// and is served. False if the page is absent.
bool wake_stale(GuestMemory& memory, uint64_t page, FillCounters& counters);

/// What follows from the install of a page that a guest thread waits for: nothing, a retry by
/// `again`, or the end of the session. True if it is done.
bool settle(FillHost& host, uint64_t page, const PlaceResult& result, std::function<void()> again);

}  // namespace thaw
