// SPDX-License-Identifier: Apache-2.0
//
// InstallGate: keeps installs by worker threads apart from the reading of events.
//
// While a REMOVE event is queued, the kernel answers every install with EAGAIN. From the moment the
// event is read until the page server has marked its pages as removed, an install would put old
// content where the guest must see zeros. So the thread that reads events closes the gate, reads,
// marks, and opens it; a worker passes the gate for each install and looks at the marks inside.
// With no worker inside, closing and opening cost a few nanoseconds and no system call.
#pragma once

#include <atomic>
#include <cstdint>

namespace thaw {

class InstallGate {
 public:
  /// For workers: waits while the gate is closed.
  void enter() {
    while (true) {
      inside_.fetch_add(1, std::memory_order_seq_cst);
      if (!closed_.load(std::memory_order_seq_cst)) return;
      leave();
      closed_.wait(true, std::memory_order_acquire);
    }
  }
  void leave() {
    if (inside_.fetch_sub(1, std::memory_order_release) == 1) inside_.notify_one();
  }

  /// For the one thread that reads events: waits until every worker has left; an install is at most
  /// a batch of pages.
  void close() {
    closed_.store(true, std::memory_order_seq_cst);
    for (uint32_t inside = inside_.load(std::memory_order_seq_cst); inside != 0;
         inside = inside_.load(std::memory_order_acquire)) {
      inside_.wait(inside, std::memory_order_acquire);
    }
  }
  void open() {
    closed_.store(false, std::memory_order_release);
    closed_.notify_all();
  }

 private:
  std::atomic<uint32_t> inside_{0};
  std::atomic<bool> closed_{false};
};

/// Passes the gate for a scope.
class GatePass {
 public:
  explicit GatePass(InstallGate& gate) : gate_(gate) { gate_.enter(); }
  ~GatePass() { gate_.leave(); }
  GatePass(const GatePass&) = delete;
  GatePass& operator=(const GatePass&) = delete;

 private:
  InstallGate& gate_;
};

}  // namespace thaw
