// SPDX-License-Identifier: Apache-2.0
//
// The parser as the completion needs it.
#pragma once

#include <vector>

#include "thaw/cli/completion.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the parser's name
class App;
}

namespace thaw {

/// The command itself and all its verbs, verbs of verbs behind their verb.
std::vector<CompletionCommand> describe_commands(const CLI::App& parser);

}  // namespace thaw
