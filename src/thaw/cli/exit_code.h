// SPDX-License-Identifier: Apache-2.0
//
// ExitCode: what the process tells its caller. The one place where error codes become exit codes
// and where both are put into words.
#pragma once

#include <string>

#include "thaw/base/result.h"

namespace thaw {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kExists = 4,
  kCorrupt = 5,
  kDenied = 6,
  kExhausted = 7,
  kUnsupported = 8,
  kOverloaded = 9,
  kInterrupted = 130,  // as a shell reports a process that SIGINT ended
};

ExitCode exit_code_for(ErrorCode code);

/// The paragraph of every --help.
std::string exit_codes_help();

}  // namespace thaw
