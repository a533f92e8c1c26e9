// SPDX-License-Identifier: Apache-2.0
//
// Foreign programs as tests need them: run to their end, servers on free ports, what they logged.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/sys/child_process.h"

namespace thaw {

/// Runs a program to its end; its standard output. kUnavailable with what it printed if it fails,
/// or does not end within `limit`.
Result<std::string> run_program(const std::vector<std::string>& argv,
                                std::chrono::milliseconds limit = ChildProcess::kWaitMax);

/// A TCP port of 127.0.0.1 that nobody listens on now. Somebody else may take it before its user
/// does: whoever starts a server on it tries again with another.
Result<uint16_t> free_port();

}  // namespace thaw
