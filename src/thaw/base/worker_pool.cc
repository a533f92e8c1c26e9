// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/worker_pool.h"

#include "thaw/base/check.h"
#include "thaw/base/log.h"

namespace thaw {

WorkerPool::WorkerPool(unsigned threads, size_t queue_max, const CoreSet& cores)
    : queue_max_(queue_max) {
  CHECK(threads > 0 && queue_max > 0);
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this, cores, first = i == 0] {
      if (const Result<void> confined =
              cores.empty() ? Result<void>() : cores.confine_this_thread();
          !confined && first) {
        log_warning("the workers run on any core: " + confined.error().message);
      }
      run();
    });
  }
}

WorkerPool::~WorkerPool() {
  {
    const MutexLock lock(mutex_);
    queue_.closing = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::submit(Task task, bool urgent) {
  {
    const MutexLock lock(mutex_);
    if (queue_.closing) return false;
    if (queue_.urgent.size() + queue_.ordinary.size() >= queue_max_) {
      ++queue_.refused;
      return false;
    }
    (urgent ? queue_.urgent : queue_.ordinary).push_back(std::move(task));
  }
  ready_.notify_one();
  return true;
}

size_t WorkerPool::waiting() const {
  const MutexLock lock(mutex_);
  return queue_.urgent.size() + queue_.ordinary.size();
}

void WorkerPool::drain() {
  MutexLock lock(mutex_);
  while (!queue_.urgent.empty() || !queue_.ordinary.empty() || queue_.running > 0) lock.wait(idle_);
}

uint64_t WorkerPool::refused() const {
  const MutexLock lock(mutex_);
  return queue_.refused;
}

void WorkerPool::run() {
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      while (queue_.urgent.empty() && queue_.ordinary.empty() && !queue_.closing) {
        lock.wait(ready_);
      }
      std::deque<Task>& source = queue_.urgent.empty() ? queue_.ordinary : queue_.urgent;
      if (source.empty()) return;
      task = std::move(source.front());
      source.pop_front();
      ++queue_.running;
    }
    task();
    task = nullptr;  // what it holds goes before it counts as done
    const MutexLock lock(mutex_);
    if (--queue_.running == 0) idle_.notify_all();
  }
}

}  // namespace thaw
