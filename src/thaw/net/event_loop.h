// SPDX-License-Identifier: Apache-2.0
//
// EventLoop: one thread that waits for descriptors (epoll), for times, and for tasks that other
// threads hand it. What lives on a loop is touched by its thread only and needs no lock.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Told about a descriptor's events, on the loop's thread.
class FdHandler {
 public:
  virtual ~FdHandler() = default;
  /// `events` as of epoll(7). Level-triggered: what is not consumed is reported again. May unwatch
  /// any descriptor.
  virtual void on_events(uint32_t events) = 0;
};

/// Made and destroyed by any one thread but its own. post() and in_loop() may be called from any
/// thread, all else from the loop's own only (which is checked).
class EventLoop {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Task = std::function<void()>;
  using WatchId = uint64_t;
  /// A timer under way; a default one is none.
  struct TimerId {
    Time time{};
    uint64_t number = 0;
    explicit operator bool() const { return number != 0; }
    friend auto operator<=>(const TimerId&, const TimerId&) = default;
  };

  /// Starts the thread.
  static Result<std::unique_ptr<EventLoop>> start();
  /// Runs every task posted so far (and those that these post), drops the timers, and joins.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Runs the task on the loop's thread, in the order of posting, never inside this call. Not
  /// bounded here: whoever posts for others bounds what it takes in.
  void post(Task task);
  /// post() and wait until it has run. Not from the loop's thread.
  void run_and_wait(const Task& task);
  bool in_loop() const { return std::this_thread::get_id() == thread_id_.load(); }

  /// `handler` must stay until unwatch(). The descriptor stays the caller's and must stay open.
  Result<WatchId> watch(int fd, uint32_t events, FdHandler& handler);
  Result<void> change(WatchId id, uint32_t events);
  /// No event of this watch is reported once it returns.
  void unwatch(WatchId id);

  /// Runs the task at or after `time`. Timers of one time run in the order they were made.
  TimerId call_at(Time time, Task task);
  /// None, past and cancelled timers are ignored.
  void cancel(TimerId timer);

 private:
  struct Watch {
    int fd;
    FdHandler* handler;
  };
  struct Posted {
    std::vector<Task> tasks;
    bool stopping = false;
  };

  EventLoop(Fd epoll, Fd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  void run();
  bool run_posted();
  void run_due_timers();
  void wait_for_events();
  int wait_at_most(epoll_event* events, std::chrono::nanoseconds time);

  const Fd epoll_;
  const Fd wake_;
  Guarded<Posted> posted_;
  std::atomic<std::thread::id> thread_id_{};

  // The loop's thread only.
  std::unordered_map<WatchId, Watch> watches_;
  std::map<TimerId, Task> timers_;
  WatchId watches_made_ = 0;
  uint64_t timers_made_ = 0;
  bool fine_waits_ = true;  // the kernel has epoll_pwait2

  std::thread thread_;
};

}  // namespace thaw
