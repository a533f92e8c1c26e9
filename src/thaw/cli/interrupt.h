// SPDX-License-Identifier: Apache-2.0
//
// Interrupt: SIGINT and SIGTERM as a call on a thread of their own, for verbs that have something
// to unwind. A verb without one is ended by the signal itself.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Made and destroyed by the main thread, before it makes any other thread: the signals are blocked
/// in those made later.
class Interrupt {
 public:
  /// `on_signal(n)` is called for the n-th of them, n from 1; `others` says what to do for further
  /// signals, which else end the process.
  using Others = std::map<int, std::function<void()>>;
  static Result<std::unique_ptr<Interrupt>> watch(std::function<void(int)> on_signal,
                                                  Others others = {});
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  Interrupt(Fd signals, Fd stop, std::function<void(int)> on_signal, Others others);
  void run();

  const Fd signals_;
  const Fd stop_;
  const std::function<void(int)> on_signal_;
  const Others others_;
  std::thread thread_;
};

}  // namespace thaw
