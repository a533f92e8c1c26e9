// SPDX-License-Identifier: Apache-2.0
//
// VerbOptions: tells the parser what options a verb has, in the few kinds that there are. The one
// place, with verb_list.h, that knows the parser.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the parser's name
class App;
class Option;
}  // namespace CLI

namespace thaw {

/// Type names are shown by --help and tell the completion what to offer.
inline constexpr char kFileType[] = "FILE";
inline constexpr char kDirectoryType[] = "DIR";
inline constexpr char kSnapshotType[] = "SNAPSHOT";
inline constexpr char kDiskType[] = "NAME=FILE";

/// Every member declares one option: its names as `--help` shows them ("-l,--long", or "NAME" for a
/// word without dashes), what it fills in, which must outlive the parsing, and its help. A value
/// that is not of its kind is refused with the option's name. Belongs to one thread; borrows the
/// parser.
class VerbOptions {
 public:
  explicit VerbOptions(CLI::App& app) : app_(app) {}

  /// The options that follow stand under this heading.
  void heading(const std::string& text) { heading_ = text; }

  void flag(const std::string& names, bool& out, const std::string& help);
  void text(const std::string& names, std::string& out, const std::string& type,
            const std::string& help);
  void text(const std::string& names, std::optional<std::string>& out, const std::string& type,
            const std::string& help);
  /// One value each time; may be repeated.
  void texts(const std::string& names, std::vector<std::string>& out, const std::string& type,
             const std::string& help);

  using SetWord = std::function<void(const std::string& word)>;
  /// One of `words`.
  void choice(const std::string& names, const std::vector<std::string>& words, const SetWord& set,
              const std::string& help);
  void choice(const std::string& names, const std::vector<std::string>& words,
              std::optional<std::string>& out, const std::string& help);

  /// A whole number in decimal, shown as `type`.
  void count(const std::string& names, uint64_t least, uint64_t most,
             std::function<void(uint64_t)> set, const std::string& help,
             const std::string& type = "N");
  /// Into a number, or an optional one, that holds `most`.
  template <typename Number>
  void count(const std::string& names, Number& out, uint64_t least, uint64_t most,
             const std::string& help) {
    count(names, least, most, [&out](uint64_t value) { assign(out, value); }, help);
  }
  /// "512KiB".
  void size(const std::string& names, std::optional<uint64_t>& out, const std::string& help);

  /// A file that is written or read.
  void file(const std::string& names, std::string& out, const std::string& help);

  // What several verbs have.
  void snapshot(std::string& out, const std::string& help);
  void threads(std::optional<uint64_t>& out, const std::string& work);
  void share(std::optional<double>& out);
  void disks(std::vector<std::string>& out, const std::string& help);

  /// It must be given.
  void require(const std::string& name);
  /// They are not given together.
  void exclude(const std::string& name, const std::string& other);

 private:
  template <typename Number>
  static void assign(Number& out, uint64_t value) {
    out = static_cast<Number>(value);
  }
  template <typename Number>
  static void assign(std::optional<Number>& out, uint64_t value) {
    out = static_cast<Number>(value);
  }
  /// Puts it under the heading.
  CLI::Option& placed(CLI::Option* option) const;

  CLI::App& app_;
  std::string heading_;
};

}  // namespace thaw
