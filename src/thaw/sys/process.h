// SPDX-License-Identifier: Apache-2.0
//
// Processes by pidfd, and the protection of our own.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <span>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// A descriptor that stands for the process itself, not for its number. kGone if there is none.
Result<Fd> open_pidfd(pid_t pid);
/// kGone if it has ended already.
Result<void> kill_by_pidfd(int pidfd, int signal);
/// True once the process has ended.
bool pidfd_has_exited(int pidfd);

/// Forbids core dumps and ptrace by other users (setrlimit, prctl): call first in main(), before a
/// key is read.
Result<void> harden_process();

/// While it lives, a thread that this one makes is made with all signals blocked: for threads that
/// a library makes before anybody has decided who takes signals.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/// Blocks `signals` for all threads made later and returns a non-blocking signalfd for them.
Result<Fd> signal_fd(std::span<const int> signals);
/// A non-blocking eventfd counter at 0.
Result<Fd> event_fd();
void notify(int event_fd);
void drain(int event_fd);

}  // namespace thaw
