// SPDX-License-Identifier: Apache-2.0
//
// ControlLine: the standard input of a replay VMM. Its first line is the options; each further line
// lets the replay VMM pass one hold. Its end lets it pass all of them or, if it was started by a
// launcher, kills it: no frozen replay VMM outlives its test.
#pragma once

#include <condition_variable>
#include <string>
#include <thread>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Made and used by the main thread. The destructor stops its watching thread.
class ControlLine {
 public:
  /// Borrows `input`.
  explicit ControlLine(int input) : input_(input) {}
  ~ControlLine();
  ControlLine(const ControlLine&) = delete;
  ControlLine& operator=(const ControlLine&) = delete;

  /// The first line, or all there is; kInvalid above 1 GiB.
  Result<std::string> read_options();
  /// Begins to watch what follows. Call once, after read_options().
  Result<void> watch(bool die_with_input);
  /// Waits for the next line.
  void hold();

 private:
  void run(bool die_with_input);
  void allow(size_t passes, bool all);

  const int input_;
  std::string pending_;  // read, but behind the first line
  Fd stop_;
  Mutex mutex_;
  std::condition_variable allowed_;
  size_t passes_ GUARDED_BY(mutex_) = 0;
  bool all_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace thaw
