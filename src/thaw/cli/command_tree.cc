// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/command_tree.h"

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

#include "thaw/cli/verb_options.h"

namespace thaw {
namespace {

ValueKind kind_of(const std::string& type) {
  if (type == kFileType) return ValueKind::kFile;
  if (type == kDirectoryType) return ValueKind::kDirectory;
  if (type == kDiskType) return ValueKind::kPairWithFile;
  if (type == kSnapshotType) return ValueKind::kSnapshot;
  return ValueKind::kAnything;
}

/// The members of "TEXT:{none,all}", as IsMember describes itself.
std::vector<std::string> choices_of(const std::string& type) {
  const size_t open = type.find('{');
  const size_t close = type.find('}');
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

void describe(const CLI::App& app, const std::string& path,
              std::vector<CompletionCommand>& commands) {
  CompletionCommand command;
  command.path = path;
  for (const CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (option->get_positional()) {
      command.has_positional = true;
      command.positional = kind_of(type);
      command.positional_choices = choices_of(type);
      continue;
    }
    CompletionOption one;
    for (const std::string& name : option->get_lnames()) one.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) one.names.push_back("-" + name);
    one.takes_value = option->get_expected_max() > 0;
    one.kind = kind_of(type);
    one.choices = choices_of(type);
    command.options.push_back(std::move(one));
  }
  const std::vector<const CLI::App*> children =
      app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children) command.subcommands.push_back(child->get_name());
  commands.push_back(std::move(command));
  for (const CLI::App* child : children) {
    describe(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), commands);
  }
}

}  // namespace

std::vector<CompletionCommand> describe_commands(const CLI::App& parser) {
  std::vector<CompletionCommand> commands;
  describe(parser, "", commands);
  return commands;
}

}  // namespace thaw
