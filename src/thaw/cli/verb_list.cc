// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/verb_list.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <sstream>

#include "thaw/cli/exit_code.h"

namespace thaw {
namespace {

/// In a list of verbs only the first sentence stands; in a verb's own help lines are wrapped.
class HelpText final : public CLI::Formatter {
 public:
  HelpText() { column_width(26); }
  std::string make_subcommand(const CLI::App* verb) const override {
    std::string text = verb->get_description();
    text.erase(std::min(text.find(". "), text.size()));
    if (text.ends_with('.')) text.pop_back();
    std::ostringstream out;
    CLI::detail::format_help(out, verb->get_display_name(true), text, get_column_width());
    return out.str();
  }
  std::string make_description(const CLI::App* app) const override {
    constexpr size_t kColumns = 80;
    std::istringstream words(app->get_description());
    std::string text;
    size_t column = 0;
    for (std::string word; words >> word; column += word.size() + 1) {
      if (column + word.size() > kColumns) column = 0;
      if (!text.empty()) text += column == 0 ? "\n" : " ";
      text += word;
    }
    return text + "\n";
  }
};

void add_globals(CLI::App& parser, GlobalOptions& globals) {
  VerbOptions options(parser);
  options.heading("Options of every verb");
  options.text("--store", globals.store, "ADDRESS",
               "Where the snapshots are: dir:PATH or s3://BUCKET/PREFIX. Else $THAW_STORE, else "
               "the config");
  options.text(
      "--tenant", globals.tenant, "NAME",
      std::string("Whose snapshots. Else $THAW_TENANT, else the config, else ") + kDefaultTenant);
  options.text("--keyring", globals.keyring, kDirectoryType,
               std::string("Directory of the keys. Else $THAW_KEYRING, else the config, else ") +
                   kDefaultKeyring);
  options.text(
      "--config", globals.config, kFileType,
      std::string("Config file. Else $THAW_CONFIG, else ") + kDefaultConfig + " if there is one");
  options.flag("--json", globals.json,
               "One JSON object on standard output (serving verbs: one a line)");
  const std::map<std::string, LogLevel> levels{{"debug", LogLevel::kDebug},
                                               {"info", LogLevel::kInfo},
                                               {"warning", LogLevel::kWarning},
                                               {"error", LogLevel::kError},
                                               {"off", LogLevel::kOff}};
  options.choice(
      "--log-level", {"debug", "info", "warning", "error", "off"},
      [&globals, levels](const std::string& word) { globals.log_level = levels.at(word); },
      "What is logged on standard error; default warning");
}

void add_footer(CLI::App& parser, const std::string& example) {
  parser.footer("Example:\n" + example + "\n\n" + exit_codes_help());
}

}  // namespace

void prepare_parser(CLI::App& parser, const std::string& example, GlobalOptions& globals) {
  parser.formatter(std::make_shared<HelpText>());  // verbs take it over
  parser.require_subcommand(1);
  add_footer(parser, example);
  add_globals(parser, globals);
}

CLI::App& VerbList::add_parser(const VerbHelp& help) {
  CLI::App& verb = *parser_.add_subcommand(help.name, help.description);
  add_footer(verb, help.example);
  add_globals(verb, globals_);
  return verb;
}

VerbOptions VerbList::add(const VerbHelp& help, Action action) {
  CLI::App& verb = add_parser(help);
  verb.callback([&chosen = chosen_, action = std::move(action)] { chosen = action; });
  return VerbOptions(verb);
}

VerbList VerbList::add_group(const VerbHelp& help) {
  CLI::App& group = add_parser(help);
  group.require_subcommand(1);
  return VerbList(group, globals_, chosen_);
}

}  // namespace thaw
