// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/config.h"

#include <sys/stat.h>

#include "thaw/cli/config_section.h"
#include "thaw/cli/config_tiers.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

Result<void> validate_memory(uint64_t bytes_max) {
  return MemoryTierOptions{.bytes_max = bytes_max}.validate();
}

Result<void> read_freeze(ConfigSection section, Config& config) {
  section.size("chunk_size", config.freeze.chunk_bytes, validate_chunk_bytes);
  section.count("threads", 0, kConfigThreadsMax, config.freeze.threads);
  section.flag("page_digests", config.freeze.page_digests);
  return section.finish();
}

Result<void> read_restore(ConfigSection section, Config& config) {
  section.size("memory_tier_bytes", config.restore_memory_bytes, validate_memory);
  section.count("threads", 0, kConfigThreadsMax, config.restore_workers.threads);
  section.choice("prefault", "\"none\", \"all\"", parse_prefault, config.restore.session.prefault);
  section.choice("fill", "\"auto\", \"page\", \"around\", \"chunk\"", parse_fill,
                 config.restore.session.fill);
  section.choice("strategy", kStrategyWords, parse_strategy_choice,
                 config.restore.session.strategy);
  section.count("prefetch_lanes", 1, 4096, config.restore.session.prefetch_lanes);
  section.count("fault_core", 0, kConfigCoreMax, config.restore.session.fault_core);
  section.count("handshake_timeout_ms", 1, 3'600'000, config.restore.handshake_timeout_ms);
  section.count("fetch_timeout_ms", 1, 3'600'000, config.restore.session.fetch_timeout_ms);
  section.count("restores_max", 0, 1'000'000, config.restore.restores_max);
  section.count("restore_settle_ms", 0, 3'600'000, config.restore.restore_settle_ms);
  return section.finish();
}

Result<void> read_record(ConfigSection section, Config& config) {
  section.count("quiet_ms", 0, 3'600'000, config.record.quiet_ms);
  section.count("limit_pages", 1, kTouchesMax, config.record.pages_max);
  section.count("limit_s", 1, kRecordSecondsMax, config.record.time_max_s);
  return section.finish();
}

Result<void> read_mount(ConfigSection section, Config& config) {
  section.size("memory_tier_bytes", config.mount_memory_bytes, validate_memory);
  section.count("threads", 1, 256, config.mount.threads);
  section.flag("allow_other", config.mount.allow_other);
  section.flag("isolate_writers", config.mount.isolate_writers);
  section.seconds("name_timeout_s", 3600, config.mount.name_timeout_s);
  section.count("readahead_kb", 0, 65'536, config.mount.readahead_kb);
  return section.finish();
}

Result<Config> read_table(const toml::table& root, const std::string& source) {
  Config config;
  ConfigSection top(source, "", &root);
  top.text("store", config.store);
  top.text("tenant", config.tenant);
  top.text("keyring", config.keyring);
  const toml::table* freeze = top.table("freeze");
  const toml::table* restore = top.table("restore");
  const toml::table* record = top.table("record");
  const toml::table* mount = top.table("mount");
  const toml::table* s3 = top.table("s3");
  const toml::table* origin = top.table("origin");
  const toml::table* local = top.table("local");
  const toml::table* zone = top.table("zone");
  TRY(top.finish());
  TRY(read_freeze(ConfigSection(source, "freeze", freeze), config));
  TRY(read_restore(ConfigSection(source, "restore", restore), config));
  TRY(read_record(ConfigSection(source, "record", record), config));
  TRY(read_mount(ConfigSection(source, "mount", mount), config));
  TRY(read_s3(ConfigSection(source, "s3", s3), config));
  TRY(read_origin(ConfigSection(source, "origin", origin), config.tiers));
  TRY(read_local(ConfigSection(source, "local", local), config.tiers));
  TRY(read_zone(ConfigSection(source, "zone", zone), config.tiers));
  // What single values cannot tell: which of them go together.
  for (const Result<void>& valid :
       {config.restore.validate(), config.mount.validate(), config.tiers.validate()}) {
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
  ASSIGN_OR_RETURN(Config config, parse_config(as_text(bytes), path));
  struct stat status{};
  if (!config.s3_key.secret_access_key.empty() &&
      (::stat(path.c_str(), &status) != 0 || (status.st_mode & 077) != 0)) {
    return fail(ErrorCode::kDenied,
                path +
                    " holds a secret key and others may read it: chmod 600 it, or keep the key in "
                    "AWS_SECRET_ACCESS_KEY or the shared credentials file");
  }
  return config;
}

std::optional<Prefault> parse_prefault(std::string_view word) {
  if (word == "none") return Prefault::kNone;
  if (word == "all") return Prefault::kAll;
  return std::nullopt;
}

std::optional<std::optional<Strategy>> parse_strategy_choice(std::string_view word) {
  if (word == "auto") return std::optional<Strategy>();
  const std::optional<Strategy> strategy = parse_strategy(word);
  if (!strategy) return std::nullopt;
  return strategy;
}

std::optional<Fill> parse_fill(std::string_view word) {
  if (word == "auto") return Fill::kAuto;
  if (word == "around") return Fill::kAround;
  if (word == "chunk") return Fill::kChunk;
  if (word == "page") return Fill::kPage;
  return std::nullopt;
}

}  // namespace thaw
