// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/recorder.h"

#include <algorithm>

namespace thaw {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Those of a small function's resume, so that the fault thread rarely waits for a growing table.
constexpr size_t kTouchesReserved = 16 * 1024;

Result<void> RecorderOptions::validate() const {
  if (pages_max == 0 || pages_max > kTouchesMax) {
    return fail(ErrorCode::kInvalid,
                "the limit of recorded pages must be 1 to " + std::to_string(kTouchesMax));
  }
  if (time_max_s == 0 || time_max_s > kRecordSecondsMax) {
    return fail(ErrorCode::kInvalid, "the time limit of a recording must be 1 to " +
                                         std::to_string(kRecordSecondsMax) + " s");
  }
  return {};
}

const char* to_string(RecordEnd end) {
  switch (end) {
    case RecordEnd::kRunning:
      return "running";
    case RecordEnd::kTold:
      return "told";
    case RecordEnd::kQuiet:
      return "quiet";
    case RecordEnd::kPages:
      return "pages";
    case RecordEnd::kTime:
      return "time";
    case RecordEnd::kGuestLeft:
      return "guest_left";
    case RecordEnd::kAbandoned:
      return "abandoned";
  }
  return "unknown";
}

Recorder::Recorder(uint64_t page_count, const RecorderOptions& options)
    : page_count_(page_count), options_(options), seen_(page_count) {
  recording_.touches.reserve(kTouchesReserved);
}

void Recorder::begin(Clock::time_point now) {
  const MutexLock lock(mutex_);
  begin_at(now);
}

void Recorder::begin_at(Clock::time_point now) {
  if (begun_) return;
  begun_ = true;
  begin_ = now;
  ended_.notify_all();  // from now on there is a time to wait for
}

// The limits are judged by the times of the touches, so what is recorded does not hang on when the
// waiting thread gets to run.
void Recorder::touch(PageRun pages, bool write, Clock::time_point now) {
  if (!active()) return;
  const MutexLock lock(mutex_);
  begin_at(now);
  if (const RecordEnd why = due(now); why != RecordEnd::kRunning) end_with(why);
  std::vector<Touch>& touches = recording_.touches;
  // Threads that read their clocks side by side may come here in the other order.
  const auto since = std::max<Clock::duration>(now - begin_, Clock::duration::zero());
  auto us = static_cast<uint32_t>(std::chrono::duration_cast<microseconds>(since).count());
  if (!touches.empty()) us = std::max(us, touches.back().us);
  const uint64_t end = std::min(pages.end(), page_count_);
  for (uint64_t page = pages.page; page < end && end_ == RecordEnd::kRunning; ++page) {
    if (seen_.test(page)) continue;
    seen_.set(page);
    touches.push_back({static_cast<uint32_t>(page), us, write});
    // The quiet time begins anew for the waiting thread, too, which finds that out when it wakes.
    newest_ = std::max(newest_, now);
    if (touches.size() == options_.pages_max) end_with(RecordEnd::kPages);
  }
}

RecordEnd Recorder::due(Clock::time_point now) const {
  if (end_ != RecordEnd::kRunning || !begun_) return end_;
  if (now - begin_ >= seconds(options_.time_max_s)) return RecordEnd::kTime;
  if (options_.quiet_ms != 0 && !recording_.touches.empty() &&
      now - newest_ >= milliseconds(options_.quiet_ms)) {
    return RecordEnd::kQuiet;
  }
  return RecordEnd::kRunning;
}

void Recorder::end_with(RecordEnd why) {
  if (end_ != RecordEnd::kRunning) return;
  end_ = why;
  active_.store(false, std::memory_order_relaxed);
  ended_.notify_all();
}

void Recorder::stop(RecordEnd why) {
  const MutexLock lock(mutex_);
  // A limit that was reached before was the end, whoever finds it out.
  const RecordEnd before = due(Clock::now());
  end_with(before != RecordEnd::kRunning ? before : why);
}

RecordEnd Recorder::wait() {
  MutexLock lock(mutex_);
  while (end_ == RecordEnd::kRunning) {
    if (!begun_) {
      lock.wait(ended_);
      continue;
    }
    const Clock::time_point now = Clock::now();
    if (const RecordEnd why = due(now); why != RecordEnd::kRunning) {
      end_with(why);
      break;
    }
    Clock::duration left = begin_ + seconds(options_.time_max_s) - now;
    if (options_.quiet_ms != 0) {
      // Without a page yet there may be one right away.
      const milliseconds quiet(options_.quiet_ms);
      left = std::min<Clock::duration>(left,
                                       recording_.touches.empty() ? quiet : newest_ + quiet - now);
    }
    lock.wait_for(ended_, left);
  }
  return end_;
}

Recording Recorder::recording() const {
  const MutexLock lock(mutex_);
  return recording_;
}

}  // namespace thaw
