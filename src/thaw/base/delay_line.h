// SPDX-License-Identifier: Apache-2.0
//
// DelayLine: one thread that runs tasks at given times.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <thread>

#include "thaw/base/guarded.h"

namespace thaw {

/// Callable from many threads. Tasks should be short: they run one after the other. The destructor
/// runs those that wait at once, in the order of their times, and joins; it must not be reached
/// while others still call.
class DelayLine {
 public:
  using Time = std::chrono::steady_clock::time_point;

  DelayLine();
  ~DelayLine();
  DelayLine(const DelayLine&) = delete;
  DelayLine& operator=(const DelayLine&) = delete;

  void run_at(Time time, std::function<void()> task);

 private:
  void run();

  Mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Time, std::function<void()>> waiting_ GUARDED_BY(mutex_);
  bool closing_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace thaw
