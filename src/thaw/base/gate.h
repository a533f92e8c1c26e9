// SPDX-License-Identifier: Apache-2.0
//
// Gate: how something with work under way on other threads is stopped: close the gate, so that
// nothing new begins, then wait until what began has ended.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <utility>

#include "thaw/base/guarded.h"

namespace thaw {

/// Callable from many threads. Must outlive every pass.
class Gate {
 public:
  /// A piece of work under way; ends when the pass goes. Movable, so that it may travel with the
  /// work.
  class Pass {
   public:
    Pass() = default;
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      if (this != &other) {
        release();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Pass() { release(); }
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    void release() {
      if (gate_ != nullptr) std::exchange(gate_, nullptr)->leave();
    }
    Gate* gate_ = nullptr;
  };

  /// An empty pass once the gate is closed.
  [[nodiscard]] Pass enter() {
    const MutexLock lock(mutex_);
    if (closed_) return Pass();
    ++inside_;
    return Pass(this);
  }

  /// Lets nobody in any more and waits for those inside.
  void close_and_wait() {
    MutexLock lock(mutex_);
    closed_ = true;
    while (inside_ != 0) lock.wait(left_);
  }

 private:
  void leave() {
    const MutexLock lock(mutex_);
    // Notified under the lock: once it is released the owner may destroy the gate.
    if (--inside_ == 0) left_.notify_all();
  }

  Mutex mutex_;
  std::condition_variable left_;
  uint64_t inside_ GUARDED_BY(mutex_) = 0;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace thaw
