// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/delay_line.h"

#include <utility>

namespace thaw {

DelayLine::DelayLine() : thread_([this] { run(); }) {}

DelayLine::~DelayLine() {
  {
    const MutexLock lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void DelayLine::run_at(Time time, std::function<void()> task) {
  bool first = false;
  {
    const MutexLock lock(mutex_);
    const auto added = waiting_.emplace(time, std::move(task));
    first = added == waiting_.begin();
  }
  if (first) changed_.notify_one();
}

void DelayLine::run() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (task == nullptr) {
        const Time now = std::chrono::steady_clock::now();
        if (waiting_.empty()) {
          if (closing_) return;
          lock.wait(changed_);
        } else if (closing_ || waiting_.begin()->first <= now) {
          task = std::move(waiting_.extract(waiting_.begin()).mapped());
        } else {
          lock.wait_for(changed_, waiting_.begin()->first - now);
        }
      }
    }
    task();
  }
}

}  // namespace thaw
