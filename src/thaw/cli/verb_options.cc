// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/verb_options.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/config.h"

namespace thaw {

CLI::Option& VerbOptions::placed(CLI::Option* option) const {
  if (!heading_.empty()) option->group(heading_);
  return *option;
}

void VerbOptions::flag(const std::string& names, bool& out, const std::string& help) {
  placed(app_.add_flag(names, out, help));
}

void VerbOptions::text(const std::string& names, std::string& out, const std::string& type,
                       const std::string& help) {
  placed(app_.add_option(names, out, help)).type_name(type);
}

void VerbOptions::text(const std::string& names, std::optional<std::string>& out,
                       const std::string& type, const std::string& help) {
  placed(app_.add_option(names, out, help)).type_name(type);
}

void VerbOptions::texts(const std::string& names, std::vector<std::string>& out,
                        const std::string& type, const std::string& help) {
  CLI::Option& option = placed(app_.add_option(names, out, help));
  option.type_name(type);
  // A word without dashes takes all that are left.
  if (!option.get_positional()) option.allow_extra_args(false);
}

void VerbOptions::choice(const std::string& names, const std::vector<std::string>& words,
                         const SetWord& set, const std::string& help) {
  placed(app_.add_option_function<std::string>(names, set, help)).check(CLI::IsMember(words));
}

void VerbOptions::choice(const std::string& names, const std::vector<std::string>& words,
                         std::optional<std::string>& out, const std::string& help) {
  choice(names, words, [&out](const std::string& word) { out = word; }, help);
}

void VerbOptions::count(const std::string& names, uint64_t least, uint64_t most,
                        std::function<void(uint64_t)> set, const std::string& help,
                        const std::string& type) {
  placed(app_.add_option_function<std::string>(
             names,
             [set = std::move(set), least, most, names](const std::string& text) {
               const Result<uint64_t> count = parse_count(text, least, most);
               if (!count) throw CLI::ValidationError(names, count.error().message);
               set(*count);
             },
             help))
      .type_name(type);
}

void VerbOptions::size(const std::string& names, std::optional<uint64_t>& out,
                       const std::string& help) {
  placed(app_.add_option_function<std::string>(
             names,
             [&out, names](const std::string& text) {
               const Result<uint64_t> bytes = parse_size(text);
               if (!bytes) throw CLI::ValidationError(names, bytes.error().message);
               out = *bytes;
             },
             help))
      .type_name("SIZE");
}

void VerbOptions::file(const std::string& names, std::string& out, const std::string& help) {
  placed(app_.add_option_function<std::string>(
             names,
             [&out, names](const std::string& text) {
               if (text.empty()) {
                 throw CLI::ValidationError(names, "needs a path, not an empty text");
               }
               out = text;
             },
             help))
      .type_name(kFileType);
}

void VerbOptions::snapshot(std::string& out, const std::string& help) {
  text("NAME", out, kSnapshotType, help);
  require("NAME");
}

void VerbOptions::threads(std::optional<uint64_t>& out, const std::string& work) {
  count("--threads", out, 0, kConfigThreadsMax,
        "Threads that " + work + "; 0: by the cores. Else the config");
}

void VerbOptions::share(std::optional<double>& out) {
  placed(
      app_.add_option("--share", out,
                      "Pages that at least this share of the recordings have; default 0.5, 0: all"))
      .type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
}

void VerbOptions::disks(std::vector<std::string>& out, const std::string& help) {
  texts("--disk", out, kDiskType, help);
}

void VerbOptions::require(const std::string& name) { app_.get_option(name)->required(); }

void VerbOptions::exclude(const std::string& name, const std::string& other) {
  app_.get_option(name)->excludes(app_.get_option(other));
}

}  // namespace thaw
