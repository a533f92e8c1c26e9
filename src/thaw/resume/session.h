// SPDX-License-Identifier: Apache-2.0
//
// Session: serves the memory of one VMM, from its handshake to its end. One thread reads the events
// of the userfaultfd and serves what is in memory; the workers fetch, verify, decrypt and install
// the rest. It ends when the VMM has gone, when all memory is present, when a page cannot be had
// (then it ends the VMM: fail closed), or when it is stopped.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "thaw/base/gate.h"
#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/resume/fault_placement.h"
#include "thaw/resume/filler.h"
#include "thaw/resume/guest_memory.h"
#include "thaw/resume/page_filler.h"
#include "thaw/resume/prefetcher.h"
#include "thaw/resume/recorder.h"
#include "thaw/resume/resume_image.h"
#include "thaw/resume/scratch.h"
#include "thaw/resume/stage_times.h"
#include "thaw/resume/strategy.h"
#include "thaw/resume/vmm_handshake.h"
#include "thaw/sys/unix_socket.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

enum class Prefault { kNone, kAll };
/// What a fault installs, its own page first.
enum class Fill {
  kAuto,    // kChunk where nothing is loaded ahead; else what was not predicted comes kAround
  kPage,    // its page
  kAround,  // and its neighbours (kFaultAroundPages)
  kChunk,   // all pages of its chunk
};

struct SessionOptions {
  /// What is loaded ahead of the guest's faults; nullopt: default_strategy().
  std::optional<Strategy> strategy;
  /// kAll: after what the strategy loads comes all the rest, and then the session ends.
  Prefault prefault = Prefault::kNone;
  Fill fill = Fill::kAuto;
  unsigned prefetch_lanes = 48;        // chunks that a strategy has under way
  unsigned prefault_lanes = 2;         // chunks that the rest has under way
  size_t held_chunks_max = 512;        // not with Fill::kChunk: chunks kept as ciphertext
  PlacementOptions placement;          // of the event thread
  uint32_t fetch_timeout_ms = 30'000;  // of a chunk that no tier brings
  /// Told of every fault; borrowed. A page that was not asked for must not be there, so it goes
  /// with Strategy::kOnDemand, Prefault::kNone and Fill::kPage only, and zeros come one by one.
  Recorder* recorder = nullptr;
  /// For the lab: what decrypting and installing take is added here; borrowed. Two looks at the
  /// clock for each run of pages.
  StageTimes* stages = nullptr;

  Result<void> validate() const;
};

enum class SessionEnd {
  kRunning,
  kVmmExited,  // the VMM has gone; nothing to complain about
  kComplete,   // all memory is present and unregistered: the VMM needs nobody any more
  kFailed,     // a page could not be had; the VMM was ended
  kStopped,    // stop() came first; a VMM whose memory was incomplete was ended
};
const char* to_string(SessionEnd end);

struct SessionSummary {
  SessionEnd end = SessionEnd::kRunning;
  std::string error;  // for kFailed, and its code
  ErrorCode error_code = ErrorCode::kUnavailable;
  pid_t vmm_pid = 0;
  uint64_t faults = 0;
  uint64_t write_faults = 0;
  uint64_t removes = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t joined = 0;
  uint64_t zero_faults = 0;
  uint64_t stale = 0;
  uint64_t chunks = 0;
  uint64_t pages_copied = 0;
  uint64_t pages_zeroed = 0;
  uint64_t pages_removed = 0;
  uint64_t pages_present = 0;  // as far as is known: not those of stale events
  uint64_t again = 0;
  Strategy strategy = Strategy::kOnDemand;
  uint64_t predicted_pages = 0;     // that the strategy loads ahead
  uint64_t predicted_faults = 0;    // on such pages, because they were not there yet
  uint64_t unpredicted_faults = 0;  // on other pages: mispredicted, as far as faults tell
  bool prefetch_stopped = false;    // because the prediction was mostly wrong
  uint64_t prefetch_errors = 0;
  uint64_t plain_hits = 0;  // chunks, slices and faulting pages from the plain cache
  uint64_t core_moves = 0;  // of the event thread, to follow the thread that faults
};

/// The VMM at the other end: its process and the socket it came by.
struct VmmPeer {
  Peer process;
  Fd socket;
};

/// Made and destroyed by one thread; the other members may be called from any.
class Session final : private FillHost {
 public:
  /// Starts serving. Borrows source, workers and `plain`, the plain cache for the plan of this
  /// image and strategy (nullptr: none); keeps the image. `on_end` is called once, on the session's
  /// thread, as its last act.
  static Result<std::unique_ptr<Session>> start(std::shared_ptr<const ResumeImage> image,
                                                ChunkSource& source, WorkerPool& workers,
                                                Handshake handshake, VmmPeer peer,
                                                const SessionOptions& options,
                                                std::function<void()> on_end,
                                                PlainCache* plain = nullptr);
  /// Stops and waits: see kStopped.
  ~Session() override;

  void stop();
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  SessionSummary summary() const;

  /// It still loads: a fetch is under way, or was less than `settle` ago.
  bool restoring(std::chrono::milliseconds settle) const { return !fetches_.quiet_for(settle); }

 private:
  Session(std::shared_ptr<const ResumeImage> image, ChunkSource& source, WorkerPool& workers,
          Handshake handshake, VmmPeer peer, const SessionOptions& options,
          const PrefetchPlan& plan, PlainCache* plain, Fd wake, std::function<void()> on_end);

  // FillHost
  void retry(std::function<void()> again) override;
  void fail_closed(uint64_t page, const Error& error) override;
  void vmm_gone() override;
  void progress() override;
  void guest_released() override;
  bool stopping() const override { return stopping_.load(std::memory_order_acquire); }

  void run();
  void wait_for_events();
  bool read_events();
  void record(uint64_t page, bool write);
  Filler& filler_of(uint64_t page) const;
  void serve_faults();
  bool run_retries();
  void release_removals();
  void finish();
  void end_vmm(const std::string& why);
  void finish_with(SessionEnd end, Error error = {ErrorCode::kUnavailable, ""});

  const std::shared_ptr<const ResumeImage> image_;
  const SessionOptions options_;
  const PrefetchPlan& plan_;  // of the image
  VmmPeer peer_;
  const bool socket_tells_exit_;
  const Fd wake_;
  const std::function<void()> on_end_;

  GuestMemory memory_;
  std::unique_ptr<ScratchPool> huge_scratch_;  // for huge pages; else the image's is used
  Gate gate_;
  Fetches fetches_;
  FillCounters fill_counters_;
  // At least one. Of two, the first serves the pages that the plan predicts.
  std::unique_ptr<UnitFiller> unit_filler_;
  std::unique_ptr<PageFiller> page_filler_;
  std::unique_ptr<Prefetcher> prefetcher_;

  FaultPlacement placement_;      // of the event thread
  std::vector<uint64_t> faults_;  // pages of faults that were read; of the event thread
  std::atomic<uint64_t> fault_count_{0};
  std::atomic<uint64_t> write_fault_count_{0};
  std::atomic<uint64_t> remove_count_{0};

  struct Ending {
    SessionEnd end = SessionEnd::kRunning;
    Error error{ErrorCode::kUnavailable, ""};  // for kFailed
  };
  Guarded<Ending> ending_;
  struct Retries {
    std::vector<std::function<void()>> waiting;
    bool closed = false;
  };
  Guarded<Retries> retries_;
  std::atomic<bool> retries_wait_{false};  // so that the hit path takes no lock to find none
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace thaw
