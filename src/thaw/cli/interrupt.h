// SPDX-License-Identifier: Apache-2.0
//
// Interrupt: SIGINT and SIGTERM as a call on a thread of their own, for verbs that have something
// to unwind. A verb without one is ended by the signal itself.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Made and destroyed by the main thread, before it makes any other thread: the signals are blocked
/// in those made later.
class Interrupt {
 public:
  /// `on_signal(n)` is called for the n-th of them, n from 1; `on_hangup`, if given, for SIGHUP,
  /// which else ends the process.
  static Result<std::unique_ptr<Interrupt>> watch(std::function<void(int)> on_signal,
                                                  std::function<void()> on_hangup = nullptr);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  Interrupt(Fd signals, Fd stop, std::function<void(int)> on_signal,
            std::function<void()> on_hangup);
  void run();

  const Fd signals_;
  const Fd stop_;
  const std::function<void(int)> on_signal_;
  const std::function<void()> on_hangup_;
  std::thread thread_;
};

}  // namespace thaw
