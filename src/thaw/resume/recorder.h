// SPDX-License-Identifier: Apache-2.0
//
// Recorder: takes the touches of one resume, each page once, in order and with their times, until
// somebody says that the guest has done what it was resumed for, or a limit says so for them. What
// comes after that is served and not recorded. It is fed by a session (every fault, with its write
// flag) or by a mount (every read of the memory file).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/image/working_set.h"
#include "thaw/resume/page_bitmap.h"

namespace thaw {

struct RecorderOptions {
  uint32_t quiet_ms = 0;             // ends when no new page came for so long after one; 0: never
  uint64_t pages_max = kTouchesMax;  // ends with so many pages
  uint32_t time_max_s = 60;          // ends so long after the beginning

  Result<void> validate() const;
};

/// The microseconds of a touch have 31 bits.
inline constexpr uint32_t kRecordSecondsMax = 2100;

enum class RecordEnd {
  kRunning,
  kTold,       // by the VM's driver
  kQuiet,      // quiet_ms
  kPages,      // pages_max
  kTime,       // time_max_s
  kGuestLeft,  // the VMM ended, or the mount went, in good order
  kAbandoned,  // the resume failed or was interrupted: what was recorded is no whole resume
};
const char* to_string(RecordEnd end);

/// Callable from many threads. Recording takes a lock, some 30 ns; once it has ended, or where
/// nobody records, active() is all that a caller pays.
class Recorder {
 public:
  using Clock = std::chrono::steady_clock;

  /// `options` are valid. A bit a page and 12 bytes a touch.
  Recorder(uint64_t page_count, const RecorderOptions& options);

  bool active() const { return active_.load(std::memory_order_relaxed); }

  /// From now on the time counts; the first touch implies it. Only the first call counts.
  void begin(Clock::time_point now);
  /// The guest touched these pages now, in this order. Pages outside the memory are left out.
  void touch(PageRun pages, bool write, Clock::time_point now);

  /// Only the first end counts.
  void stop(RecordEnd why);
  /// Waits for the end and says which.
  RecordEnd wait();

  /// What was recorded; after the end it no longer changes.
  Recording recording() const;

 private:
  void begin_at(Clock::time_point now) REQUIRES(mutex_);
  RecordEnd due(Clock::time_point now) const REQUIRES(mutex_);
  void end_with(RecordEnd why) REQUIRES(mutex_);

  const uint64_t page_count_;
  const RecorderOptions options_;
  std::atomic<bool> active_{true};

  mutable Mutex mutex_;
  std::condition_variable ended_;
  RecordEnd end_ GUARDED_BY(mutex_) = RecordEnd::kRunning;
  bool begun_ GUARDED_BY(mutex_) = false;
  Clock::time_point begin_ GUARDED_BY(mutex_);
  Clock::time_point newest_ GUARDED_BY(mutex_);  // the last new page's time
  PageBitmap seen_ GUARDED_BY(mutex_);
  Recording recording_ GUARDED_BY(mutex_);
};

}  // namespace thaw
