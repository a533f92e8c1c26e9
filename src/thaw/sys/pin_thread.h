// SPDX-License-Identifier: Apache-2.0
//
// pin_thread: one thread, one core. Where a fault is served costs more than how (same core or
// another: 5 to 9 times), so tests and benchmarks say it.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// kInvalid if this process may not run on that core.
inline Result<void> pin_thread(pthread_t thread, int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (core >= 0 && core < CPU_SETSIZE) CPU_SET(static_cast<size_t>(core), &cores);
  if (const int error = ::pthread_setaffinity_np(thread, sizeof cores, &cores); error != 0) {
    return fail_errno("cannot pin a thread to core " + std::to_string(core), error);
  }
  return {};
}

}  // namespace thaw
