// SPDX-License-Identifier: Apache-2.0
//
// ForegroundJob: a long piece of work that somebody watches. SIGINT and SIGTERM cancel it; a second
// one ends the process at once, which every job survives (freeze, export). A bar on standard error
// shows how far it is.
#pragma once

#include <condition_variable>
#include <memory>
#include <string>
#include <thread>

#include "thaw/base/guarded.h"
#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/cli/interrupt.h"
#include "thaw/cli/output.h"

namespace thaw {

/// What its progress counts.
enum class JobUnit { kBytes, kPieces };

/// Belongs to the main thread, which makes it before any other thread.
class ForegroundJob {
 public:
  /// `label` stands before the bar: "freeze web". Borrows `out` for the call only.
  static Result<std::unique_ptr<ForegroundJob>> start(std::string label, const Output& out,
                                                      JobUnit unit = JobUnit::kBytes);
  /// Takes the bar away.
  ~ForegroundJob();
  ForegroundJob(const ForegroundJob&) = delete;
  ForegroundJob& operator=(const ForegroundJob&) = delete;

  Progress& progress() { return progress_; }

 private:
  ForegroundJob(std::string label, JobUnit unit) : label_(std::move(label)), unit_(unit) {}
  void show_bar();

  const std::string label_;
  const JobUnit unit_;
  Progress progress_;
  std::unique_ptr<Interrupt> interrupt_;

  Mutex mutex_;
  std::condition_variable finished_;
  bool done_ GUARDED_BY(mutex_) = false;
  std::thread bar_;
};

}  // namespace thaw
