// SPDX-License-Identifier: Apache-2.0
//
// Completion: a bash script from a description of the commands, which command_tree.h derives from
// the parser, so that neither can know a word that the other does not.
#pragma once

#include <string>
#include <vector>

namespace thaw {

/// What may stand as a value.
enum class ValueKind { kAnything, kFile, kDirectory, kPairWithFile, kSnapshot };

struct CompletionOption {
  std::vector<std::string> names;  // "--threads"
  bool takes_value = false;
  ValueKind kind = ValueKind::kAnything;
  std::vector<std::string> choices;
};

struct CompletionCommand {
  std::string path;  // "", "freeze", "key rotate"
  std::vector<std::string> subcommands;
  std::vector<CompletionOption> options;
  bool has_positional = false;
  ValueKind positional = ValueKind::kAnything;
  std::vector<std::string> positional_choices;
};

std::string bash_completion(const std::vector<CompletionCommand>& commands);

}  // namespace thaw
