// SPDX-License-Identifier: Apache-2.0
//
// Mutex, MutexLock and Guarded<T>: a lock that clang's thread-safety analysis understands, and a
// value that cannot be reached without it. `make check` compiles with clang, where an unguarded
// access is an error.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#if defined(__clang__)
#define THAW_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define THAW_THREAD_ANNOTATION(x)
#endif
#define CAPABILITY(x) THAW_THREAD_ANNOTATION(capability(x))
#define SCOPED_CAPABILITY THAW_THREAD_ANNOTATION(scoped_lockable)
#define GUARDED_BY(x) THAW_THREAD_ANNOTATION(guarded_by(x))
#define REQUIRES(...) THAW_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) THAW_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define RELEASE(...) THAW_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define EXCLUDES(...) THAW_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS THAW_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace thaw {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; can wait for a condition under it.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  /// Waits for a notification (or a spurious wake): call it in a loop that tests the condition.
  void wait(std::condition_variable& condition) { condition.wait(lock_); }
  template <typename Duration>
  std::cv_status wait_for(std::condition_variable& condition, Duration duration) {
    return condition.wait_for(lock_, duration);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

/// A value and its lock. `with` runs a function on the value under the lock and returns its result.
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  template <typename F>
  decltype(auto) with(F&& function) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::forward<F>(function)(value_);
  }
  template <typename F>
  decltype(auto) with(F&& function) const EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::forward<F>(function)(value_);
  }

 private:
  mutable Mutex mutex_;
  T value_ GUARDED_BY(mutex_){};
};

}  // namespace thaw
