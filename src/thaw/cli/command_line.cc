// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "thaw/cli/command_tree.h"
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/output.h"

namespace thaw {
namespace {

constexpr char kVersion[] = "thaw " THAW_VERSION;

class CommandLine {
 public:
  CommandLine()
      : parser_("Encrypted, chunked snapshots of microVMs, served page by page.", "thaw") {
    parser_.set_version_flag("--version", kVersion, "Print the version and exit");
    prepare_parser(parser_,
                   "  thaw init --store dir:/var/lib/thaw\n"
                   "  thaw freeze web --memory memory.bin --vmstate vm.state\n"
                   "  thaw restore web --uffd /run/web.uffd\n"
                   "Each verb has its own --help.",
                   globals_);
    VerbList verbs(parser_, globals_, action_);
    declare_setup_verbs(verbs);
    declare_making_verbs(verbs);
    declare_snapshot_verbs(verbs);
    declare_serving_verbs(verbs);
    declare_tier_verbs(verbs);
    declare_lab_verbs(verbs);
    declare_completion(verbs);
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& parser() { return parser_; }
  const GlobalOptions& globals() const { return globals_; }
  /// A script is a script with --json, too.
  bool prints_json() const { return globals_.json && !parser_.got_subcommand(kCompletion); }

  /// Runs the verb that was parsed.
  Result<void> run(const Environment& environment, Output& out) const {
    return action_(resolve_settings(globals_, environment), out);
  }

 private:
  static constexpr char kCompletion[] = "completion";

  void declare_completion(VerbList& verbs) {
    VerbOptions options = verbs.add(
        {kCompletion, "Print a completion script for a shell.", "  source <(thaw completion bash)"},
        Action([this](const Result<Settings>&, Output& out) -> Result<void> {
          out.say(bash_completion(describe_commands(parser_)));
          return {};
        }));
    options.choice("SHELL", {"bash"}, shell_, "The shell");
    options.require("SHELL");
  }

  CLI::App parser_;
  GlobalOptions globals_;
  Action action_;
  std::optional<std::string> shell_;  // there is one
};

/// What CLI11 says when there is nothing to do, or nothing that it understands.
ExitCode answer_parse(const CLI::ParseError& error, const CLI::App& app, bool json, std::FILE* out,
                      std::FILE* err) {
  Output output(out, err, json && error.get_exit_code() != 0);
  if (error.get_exit_code() == 0) {
    std::ostringstream text;
    std::ostringstream ignored;
    app.exit(error, text, ignored);
    output.say(text.str());
    const Result<void> said = output.finish(nullptr);
    return said ? ExitCode::kOk : ExitCode::kFailed;
  }
  std::string verb = "thaw";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    verb += " " + at->get_name();
  }
  const Error usage{ErrorCode::kInvalid, std::string(error.what()) + "; see `" + verb + " --help`"};
  if (!output.finish(&usage)) return ExitCode::kFailed;
  return ExitCode::kUsage;
}

}  // namespace

ExitCode run_command_line(std::vector<std::string> arguments, const Environment& environment,
                          std::FILE* out, std::FILE* err) {
  CommandLine line;
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the end
    line.parser().parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return answer_parse(error, line.parser(), json, out, err);
  }
  set_log_level(line.globals().log_level);
  Output output(out, err, line.prints_json());
  const Result<void> done = line.run(environment, output);
  const Result<void> said = output.finish(done ? nullptr : &done.error());
  if (!done) return exit_code_for(done.error().code);
  if (!said) {
    std::fprintf(err, "thaw: %s\n", said.error().message.c_str());
    return exit_code_for(said.error().code);
  }
  return ExitCode::kOk;
}

}  // namespace thaw
