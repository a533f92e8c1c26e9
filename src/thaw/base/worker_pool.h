// SPDX-License-Identifier: Apache-2.0
//
// WorkerPool: a fixed set of threads and a bounded queue with two priorities.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "thaw/base/core_set.h"
#include "thaw/base/guarded.h"

namespace thaw {

/// Callable from many threads. The destructor refuses new tasks, runs those that wait and joins.
class WorkerPool {
 public:
  using Task = std::function<void()>;

  /// `queue_max` bounds the tasks that wait, urgent and ordinary together. The threads keep to
  /// `cores`; empty: any. If the machine refuses that, it is said once and they run anywhere.
  WorkerPool(unsigned threads, size_t queue_max, const CoreSet& cores = {});
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Queues a task, before all ordinary ones if it is urgent. False if the queue is full or the
  /// pool is closing: the task was not taken and will not run.
  [[nodiscard]] bool submit(Task task, bool urgent);

  /// Tasks that no thread has begun yet.
  size_t waiting() const;
  /// Waits until no task waits or runs.
  void drain();
  /// How often submit() met a full queue.
  uint64_t refused() const;

 private:
  struct Queue {
    std::deque<Task> urgent;
    std::deque<Task> ordinary;
    size_t running = 0;
    bool closing = false;
    uint64_t refused = 0;
  };

  void run();

  const size_t queue_max_;
  mutable Mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable idle_;
  Queue queue_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace thaw
