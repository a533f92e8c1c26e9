// SPDX-License-Identifier: Apache-2.0
//
// VerbList: the verbs of the program, or of a group such as `thaw key`, as the parser is told of
// them: name, help, example, options, and what to do.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "thaw/cli/output.h"
#include "thaw/cli/settings.h"
#include "thaw/cli/verb_options.h"

namespace thaw {

/// What a verb does once everything is parsed, with the settings as far as they could be read.
using Action = std::function<Result<void>(const Result<Settings>&, Output&)>;
/// The same where they must be right.
using Run = Result<void> (*)(const Settings&, Output&);

struct VerbHelp {
  std::string name;
  std::string description;  // its first sentence stands in the list of verbs
  std::string example;      // whole lines
};

/// Belongs to one thread. Borrows the parser, the options of every verb, and where it says what to
/// do.
class VerbList {
 public:
  VerbList(CLI::App& parser, GlobalOptions& globals, Action& chosen)
      : parser_(parser), globals_(globals), chosen_(chosen) {}

  VerbOptions add(const VerbHelp& help, Action action);
  VerbOptions add(const VerbHelp& help, Run run) {
    const auto action = [run](const Result<Settings>& settings, Output& out) -> Result<void> {
      return settings ? run(*settings, out) : fail(settings.error());
    };
    return add(help, Action(action));
  }

  /// A verb whose options fill in a request.
  template <typename Request>
  std::pair<VerbOptions, Request&> add(const VerbHelp& help,
                                       Result<void> (*run)(const Settings&, const Request&,
                                                           Output&)) {
    const auto request = std::make_shared<Request>();  // lives as long as the parser knows of it
    const auto action = [request, run](const Result<Settings>& settings,
                                       Output& out) -> Result<void> {
      return settings ? run(*settings, *request, out) : fail(settings.error());
    };
    return {add(help, Action(action)), *request};
  }

  /// A verb that is nothing without one of its own.
  VerbList add_group(const VerbHelp& help);

 private:
  CLI::App& add_parser(const VerbHelp& help);

  CLI::App& parser_;
  GlobalOptions& globals_;
  Action& chosen_;
};

/// The parser itself: help as all verbs have it, and the options of every verb.
void prepare_parser(CLI::App& parser, const std::string& example, GlobalOptions& globals);

}  // namespace thaw
