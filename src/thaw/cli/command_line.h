// SPDX-License-Identifier: Apache-2.0
//
// The command line: the verbs of declare_verbs.h, parsed here and nowhere else.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "thaw/cli/exit_code.h"
#include "thaw/cli/settings.h"

namespace thaw {

/// Does what `arguments` (without the program's name) ask and says so on the streams.
ExitCode run_command_line(std::vector<std::string> arguments, const Environment& environment,
                          std::FILE* out, std::FILE* err);

}  // namespace thaw
