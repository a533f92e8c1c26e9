// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/config.h"

#include <toml++/toml.h>

#include <limits>
#include <set>
#include <utility>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

/// One table of the file. Each reader takes a key if it is there; the first thing that is wrong is
/// kept, and finish() tells it, or a key that no reader asked for.
class Section {
 public:
  /// `name` is empty for the top of the file. `table` may be nullptr: the file has no such section.
  Section(const std::string& source, std::string name, const toml::table* table)
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

  /// The sub-table of that name; nullptr if there is none.
  const toml::table* table(std::string_view key) {
    const toml::node* node = take(key);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) reject(key, *node, "must be a section, [" + std::string(key) + "]");
    return node->as_table();
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

Result<void> validate_tier(uint64_t memory_bytes_max) {
  TierOptions tiers;
  tiers.memory_bytes_max = memory_bytes_max;
  return tiers.validate();
}

Result<void> read_freeze(Section section, Config& config) {
  section.size("chunk_size", config.freeze.chunk_bytes, validate_chunk_bytes);
  section.count("threads", 0, kConfigThreadsMax, config.freeze.threads);
  return section.finish();
}

Result<void> read_restore(Section section, Config& config) {
  section.size("memory_tier_bytes", config.restore_tiers.memory_bytes_max, validate_tier);
  section.count("threads", 0, kConfigThreadsMax, config.restore_workers.threads);
  section.choice("prefault", "\"none\", \"all\"", parse_prefault, config.restore.session.prefault);
  section.choice("fill", "\"chunk\", \"page\"", parse_fill, config.restore.session.fill);
  section.count("fault_core", 0, kConfigCoreMax, config.restore.session.fault_core);
  section.count("handshake_timeout_ms", 1, 3'600'000, config.restore.handshake_timeout_ms);
  return section.finish();
}

Result<void> read_mount(Section section, Config& config) {
  section.size("memory_tier_bytes", config.mount_tiers.memory_bytes_max, validate_tier);
  section.count("threads", 1, 256, config.mount.threads);
  section.flag("allow_other", config.mount.allow_other);
  section.flag("isolate_writers", config.mount.isolate_writers);
  section.seconds("name_timeout_s", 3600, config.mount.name_timeout_s);
  section.count("readahead_kb", 0, 65'536, config.mount.readahead_kb);
  return section.finish();
}

Result<Config> read_table(const toml::table& root, const std::string& source) {
  Config config;
  Section top(source, "", &root);
  top.text("store", config.store);
  top.text("tenant", config.tenant);
  top.text("keyring", config.keyring);
  const toml::table* freeze = top.table("freeze");
  const toml::table* restore = top.table("restore");
  const toml::table* mount = top.table("mount");
  TRY(top.finish());
  TRY(read_freeze(Section(source, "freeze", freeze), config));
  TRY(read_restore(Section(source, "restore", restore), config));
  TRY(read_mount(Section(source, "mount", mount), config));
  // What single values cannot tell: which of them go together.
  for (const Result<void>& valid : {config.restore.validate(), config.mount.validate()}) {
    if (!valid) return fail(Error(valid.error()).with_context(source));
  }
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& source) {
  if (text.size() > kConfigBytesMax) {
    return fail(ErrorCode::kInvalid,
                source + " is above the limit of " + human_bytes(kConfigBytesMax));
  }
  try {
    const toml::table root = toml::parse(text);
    return read_table(root, source);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::kInvalid, source + " line " + std::to_string(error.source().begin.line) +
                                         " is not TOML: " + std::string(error.description()));
  }
}

Result<Config> read_config(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, read_file(path, kConfigBytesMax));
  return parse_config(as_text(bytes), path);
}

std::optional<Prefault> parse_prefault(std::string_view word) {
  if (word == "none") return Prefault::kNone;
  if (word == "all") return Prefault::kAll;
  return std::nullopt;
}

std::optional<Fill> parse_fill(std::string_view word) {
  if (word == "chunk") return Fill::kChunk;
  if (word == "page") return Fill::kPage;
  return std::nullopt;
}

}  // namespace thaw
