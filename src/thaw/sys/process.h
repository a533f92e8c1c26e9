// SPDX-License-Identifier: Apache-2.0
//
// Processes by pidfd, and the protection of our own.
#pragma once

#include <sys/types.h>

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

/// Blocks `signals` for all threads made later and returns a non-blocking signalfd for them.
Result<Fd> signal_fd(std::initializer_list<int> signals);
/// A non-blocking eventfd counter at 0.
Result<Fd> event_fd();
void notify(int event_fd);
void drain(int event_fd);

}  // namespace thaw
