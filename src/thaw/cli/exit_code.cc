// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/exit_code.h"

namespace thaw {

ExitCode exit_code_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return ExitCode::kUsage;
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kExists:
      return ExitCode::kExists;
    case ErrorCode::kCorrupt:
      return ExitCode::kCorrupt;
    case ErrorCode::kDenied:
      return ExitCode::kDenied;
    case ErrorCode::kExhausted:
      return ExitCode::kExhausted;
    case ErrorCode::kUnsupported:
      return ExitCode::kUnsupported;
    case ErrorCode::kOverloaded:
      return ExitCode::kOverloaded;
    case ErrorCode::kInterrupted:
      return ExitCode::kInterrupted;
    case ErrorCode::kUnavailable:
    case ErrorCode::kGone:
      return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

std::string exit_codes_help() {
  return "Exit codes:\n"
         "  0    done\n"
         "  1    failed: the medium, the store or the other side gave up\n"
         "  2    wrong usage, option, name, config or input file\n"
         "  3    not found: the store, key, snapshot or file\n"
         "  4    exists already\n"
         "  5    corrupt: data in the store is damaged or missing\n"
         "  6    denied: the key or a permission is wrong\n"
         "  7    exhausted: the disk or a limit is full\n"
         "  8    unsupported by this machine or this version\n"
         "  9    overloaded: too many restores are under way here; ask another worker\n"
         "  130  interrupted by a signal\n";
}

}  // namespace thaw
