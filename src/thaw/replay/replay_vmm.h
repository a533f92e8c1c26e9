// SPDX-License-Identifier: Apache-2.0
//
// ReplayVmm: starts thaw-replay-vmm, a stand-in for Firecracker as the client of a page server, and
// follows it to its end. It is a process, because page servers find their VMM by the socket's peer
// and kill it; because it checks every byte it reads, a page server that it survives serves right.
//
//   ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
//   options.socket_path = ...; options.image_path = ...; options.regions = {{64 * kMiB, 0}};
//   options.touching.order = ReplayTouching::Order::kPermutation;
//   ASSIGN_OR_RETURN(auto vmm, ReplayVmm::start(options));
//   const ReplayVmmResult result = vmm->wait();
//   EXPECT_TRUE(result.passed()) << result.describe();
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "thaw/base/result.h"
#include "thaw/replay/replay_vmm_options.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// How it ended: by exit or by signal.
struct ReplayVmmResult {
  std::optional<ReplayVmmExit> exit;
  std::optional<int> signal;
  bool timed_out = false;  // the launcher killed it, because it did not end
  std::optional<ReplayVmmReport> report;
  std::string error;

  /// It did as told and every byte was right.
  bool passed() const { return exit == ReplayVmmExit::kDone && report.has_value(); }
  /// For messages of tests: the end, the error, the mismatches.
  std::string describe() const;
};

/// Belongs to one thread. The destructor kills and reaps.
class ReplayVmm {
 public:
  /// A watchdog, far above what any test takes; nothing is ever judged by it.
  static constexpr std::chrono::milliseconds kWaitMax{120'000};

  /// kInvalid if the options contradict themselves. The options' files are used by the process, so
  /// they stay until it has ended.
  static Result<std::unique_ptr<ReplayVmm>> start(const ReplayVmmOptions& options);
  ~ReplayVmm();
  ReplayVmm(const ReplayVmm&) = delete;
  ReplayVmm& operator=(const ReplayVmm&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  /// Waits until it has sent its handshake, or has touched and checked everything. kGone if it
  /// ended before; wait() says how.
  Result<void> wait_for(ReplayVmmEvent::Kind kind, std::chrono::milliseconds limit = kWaitMax);
  /// Lets it pass its next hold, now or when it gets there.
  void proceed();
  void kill(int signal);
  /// Waits for its end; kills it after `limit`. The same result if called again.
  const ReplayVmmResult& wait(std::chrono::milliseconds limit = kWaitMax);

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  ReplayVmm(pid_t pid, Fd input, Fd output)
      : pid_(pid), input_(std::move(input)), output_(std::move(output)) {}

  bool read_event(Deadline deadline);
  void take_event(const std::string& line);
  void reap();

  pid_t pid_;
  Fd pidfd_;
  Fd input_;
  Fd output_;
  std::string unread_;  // of its output, an unfinished line
  bool handshake_sent_ = false;
  bool touched_ = false;
  bool reaped_ = false;
  ReplayVmmResult result_;
};

}  // namespace thaw
