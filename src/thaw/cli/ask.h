// SPDX-License-Identifier: Apache-2.0
//
// ask: a question to whoever sits at the terminal.
#pragma once

#include <optional>
#include <string>

#include "thaw/cli/output.h"

namespace thaw {

/// Prints "thaw: QUESTION [y/N] " on standard error and waits for a line: true for y or yes, false
/// for anything else. Empty, and nothing is printed, if there is nobody: standard input or error is
/// no terminal, or with --json. Before a verb takes signals over, so that they end the process.
std::optional<bool> ask(const std::string& question, const Output& out);

}  // namespace thaw
