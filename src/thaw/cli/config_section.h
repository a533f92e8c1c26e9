// SPDX-License-Identifier: Apache-2.0
//
// ConfigSection: one table of thaw.toml and what may stand in it. For the files that read the
// config only: it brings the TOML library along.
#pragma once

#include <toml++/toml.h>

#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "thaw/base/name.h"
#include "thaw/base/result.h"
#include "thaw/cli/amount_text.h"

namespace thaw {

/// One table of the file. Each reader takes a key if it is there; the first thing that is wrong is
/// kept, and finish() tells it, or a key that no reader asked for.
class ConfigSection {
 public:
  /// `name` is empty for the top of the file. `table` may be nullptr: the file has no such section.
  ConfigSection(const std::string& source, std::string name, const toml::table* table)
      : source_(source), name_(std::move(name)), table_(table) {}

  void text(std::string_view key, std::optional<std::string>& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<std::string>();
    if (!value) return reject(key, *node, "must be a text in quotes");
    if (value->empty() || value->find('\0') != std::string::npos) {
      return reject(key, *node, "must not be empty or hold a zero byte");
    }
    out = *value;
  }

  void flag(std::string_view key, bool& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<bool>();
    if (!value) return reject(key, *node, "must be true or false");
    out = *value;
  }

  template <typename T>
  void count(std::string_view key, uint64_t least, uint64_t most, T& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto value = node->value_exact<int64_t>();
    if (!value || *value < 0 || static_cast<uint64_t>(*value) < least ||
        static_cast<uint64_t>(*value) > most) {
      return reject(
          key, *node,
          "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    out = static_cast<T>(*value);
  }

  void number(std::string_view key, double least, double most, double& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    std::optional<double> value = node->value_exact<double>();
    if (const auto whole = node->value_exact<int64_t>()) value = static_cast<double>(*whole);
    if (!value || !(*value >= least && *value <= most)) {
      std::ostringstream range;
      range << "must be a number from " << least << " to " << most;
      return reject(key, *node, range.str());
    }
    out = *value;
  }

  void seconds(std::string_view key, double most, double& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    std::optional<double> value = node->value_exact<double>();
    if (const auto whole = node->value_exact<int64_t>()) value = static_cast<double>(*whole);
    if (!value || !(*value >= 0 && *value <= most)) {
      return reject(key, *node,
                    "must be a number of seconds from 0 to " + std::to_string(int(most)));
    }
    out = *value;
  }

  /// A size that `validate`, given the value, accepts.
  template <typename T, typename Validate>
  void size(std::string_view key, T& out, Validate&& validate) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    uint64_t bytes = 0;
    if (const auto number = node->value_exact<int64_t>(); number && *number >= 0) {
      bytes = static_cast<uint64_t>(*number);
    } else if (const auto text = node->value_exact<std::string>()) {
      const Result<uint64_t> parsed = parse_size(*text);
      if (!parsed) return reject(key, *node, ": " + parsed.error().message);
      bytes = *parsed;
    } else {
      return reject(key, *node, "must be a size: a number of bytes, or a text like \"512KiB\"");
    }
    if (bytes > std::numeric_limits<T>::max()) return reject(key, *node, "is too large");
    const Result<void> valid = validate(static_cast<T>(bytes));
    if (!valid) return reject(key, *node, ": " + valid.error().message);
    out = static_cast<T>(bytes);
  }

  /// A word that `parse` knows; `words` lists them for the message.
  template <typename T, typename Parse>
  void choice(std::string_view key, const std::string& words, Parse&& parse, T& out) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto word = node->value_exact<std::string>();
    const std::optional<T> value = word ? parse(*word) : std::nullopt;
    if (!value) return reject(key, *node, "must be one of " + words);
    out = *value;
  }

  /// The elements of a list, each given to `read(node, place)`, which returns an error or nothing.
  template <typename Read>
  void list(std::string_view key, Read&& read) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return reject(key, *node, "must be a list, [...]");
    for (const toml::node& element : *array) {
      const Result<void> taken =
          read(element, place(element.source().begin.line) + ": " + prefix() + std::string(key));
      if (!taken && !error_) error_ = taken.error();
    }
  }

  /// Whether the file has such a section.
  bool exists() const { return table_ != nullptr; }

  /// The sub-table of that name; nullptr if there is none.
  const toml::table* table(std::string_view key) {
    const toml::node* node = take(key);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) reject(key, *node, "must be a section, [" + std::string(key) + "]");
    return node->as_table();
  }

  /// The error of a section that has not what it must have.
  Result<void> lacks(const std::string& what) const {
    return fail(ErrorCode::kInvalid, source_ + ": [" + name_ + "] needs " + what);
  }

  Result<void> finish() {
    if (error_) return fail(*error_);
    if (table_ == nullptr) return {};
    for (auto&& [key, node] : *table_) {
      if (known_.contains(std::string(key.str()))) continue;
      std::string known;
      for (const std::string& one : known_) known += (known.empty() ? "" : ", ") + one;
      return fail(ErrorCode::kInvalid,
                  place(key.source().begin.line) + ": unknown key " +
                      quote(prefix() + std::string(key.str())) + "; the keys " +
                      (name_.empty() ? "here" : "of [" + name_ + "]") + " are " + known);
    }
    return {};
  }

 private:
  std::string prefix() const { return name_.empty() ? "" : name_ + "."; }
  std::string place(uint32_t line) const { return source_ + " line " + std::to_string(line); }

  const toml::node* take(std::string_view key) {
    known_.emplace(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }

  void reject(std::string_view key, const toml::node& node, const std::string& why) {
    if (error_) return;
    error_ = Error{ErrorCode::kInvalid, place(node.source().begin.line) + ": " + prefix() +
                                            std::string(key) + (why[0] == ':' ? "" : " ") + why};
  }

  const std::string& source_;
  const std::string name_;
  const toml::table* const table_;
  std::set<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace thaw
