// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "thaw/base/name.h"
#include "thaw/base/units.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/finding.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/crypto/keyring.h"

namespace thaw {
namespace {

constexpr uint64_t kFreeBytesLow = kGiB;

const char* to_string(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarn:
      return "warn";
    case Health::kFail:
      return "fail";
  }
  return "fail";
}

Finding examine_config(const Result<Settings>& settings) {
  if (!settings) return {"config", Health::kFail, settings.error().message, "correct it"};
  return {"config", Health::kOk, settings->config_path.value_or("none, defaults hold"), ""};
}

/// Whether the directory behind a store can be written to and has room. Writes nothing.
Finding examine_directory(const std::string& directory) {
  if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return {"store writable", Health::kWarn, directory + ": " + std::strerror(errno),
            "freeze needs to write; restore and mount do not"};
  }
  struct statvfs room{};
  if (::statvfs(directory.c_str(), &room) != 0) {
    return {"store writable", Health::kWarn, directory + ": " + std::strerror(errno), ""};
  }
  const uint64_t bytes = uint64_t{room.f_bavail} * room.f_frsize;
  const bool low = bytes < kFreeBytesLow;
  return {"store writable", low ? Health::kWarn : Health::kOk, human_bytes(bytes) + " free",
          low ? "free room: a freeze that fills the disk fails and leaves garbage" : ""};
}

void examine_store(const Settings& settings, std::vector<Finding>& findings) {
  if (!settings.store) {
    findings.push_back({"store", Health::kWarn, "none is configured",
                        "give --store dir:PATH or s3://BUCKET/PREFIX, set THAW_STORE, or set store "
                        "in the config"});
    return;
  }
  const auto store = open_store(settings);
  if (!store) {
    findings.push_back({"store", Health::kFail, store.error().message,
                        store.error().code == ErrorCode::kNotFound ? "run `thaw init`" : ""});
    return;
  }
  const Catalog catalog(**store);
  const Result<uint64_t> root = catalog.active_root();
  const Result<std::vector<std::string>> names = catalog.names(settings.tenant);
  if (!root || !names) {
    findings.push_back(
        {"store", Health::kFail, root ? names.error().message : root.error().message, ""});
  } else {
    findings.push_back({"store", Health::kOk,
                        (*store)->describe() + ", active root " + std::to_string(*root) + ", " +
                            format_count(names->size(), "snapshot") + " of tenant " +
                            settings.tenant,
                        ""});
  }
  constexpr std::string_view kDirectory = "dir:";
  if (settings.store->starts_with(kDirectory)) {
    findings.push_back(examine_directory(settings.store->substr(kDirectory.size())));
  }
}

Finding examine_disk_cache(const std::string& path) {
  const Result<DiskCacheInspection> found = inspect_disk_cache(path);
  if (found) {
    return {"disk cache", Health::kOk,
            path + ", " + format_share(found->slots_used, found->geometry.slots) + " full" +
                (found->locked ? ", used by process " + std::to_string(found->owner_pid) : ""),
            ""};
  }
  if (found.error().code == ErrorCode::kNotFound) {
    const std::string directory = path.substr(0, path.find_last_of('/') + 1);
    if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0) {
      return {"disk cache", Health::kOk, path + " is made at the first use", ""};
    }
    return {"disk cache", Health::kWarn, directory + ": " + std::strerror(errno),
            "make the directory: until then thaw runs without the disk cache"};
  }
  return {"disk cache", Health::kWarn, found.error().message, ""};
}

Finding examine_zone(const ZoneOptions& options) {
  const auto zone = ZoneClient::create(options);
  if (!zone) return {"zone", Health::kFail, zone.error().message, "correct [zone]"};
  const Result<void> all = wait_for_zone(**zone);
  if (all) {
    return {"zone", Health::kOk, format_count(options.nodes.size(), "node") + ", all up", ""};
  }
  return {"zone", Health::kWarn, all.error().message,
          "look at memcached there, and at the network"};
}

Finding examine_keyring(const Settings& settings) {
  const Result<Keyring> keyring = Keyring::load(settings.keyring, settings.tenant);
  if (keyring) {
    const KeyringInfo info = keyring->info();
    return {"keyring", Health::kOk,
            settings.keyring + ", tenant " + settings.tenant + ", active key " +
                std::to_string(info.active_id) + ", " + std::to_string(info.keys - 1) + " retired",
            ""};
  }
  const bool missing = keyring.error().code == ErrorCode::kNotFound;
  return {"keyring", missing ? Health::kWarn : Health::kFail, keyring.error().message,
          missing ? "run `thaw init` or `thaw key create`" : ""};
}

}  // namespace

Result<void> run_doctor(const Result<Settings>& settings, Output& out) {
  std::vector<Finding> findings = examine_machine();
  findings.push_back(examine_config(settings));
  if (settings) {
    examine_store(*settings, findings);
    findings.push_back(examine_keyring(*settings));
    const TierOptions& tiers = settings->config.tiers;
    if (tiers.local) findings.push_back(examine_disk_cache(tiers.local->cache.path));
    if (tiers.zone) findings.push_back(examine_zone(*tiers.zone));
  }
  TextTable table;
  std::vector<JsonObject> objects;
  size_t failed = 0;
  for (const Finding& finding : findings) {
    table.add({to_string(finding.health), finding.check, finding.found});
    if (!finding.advice.empty()) table.add({"", "", "-> " + finding.advice});
    objects.emplace_back()
        .set("check", finding.check)
        .set("health", to_string(finding.health))
        .set("found", finding.found)
        .set("advice", finding.advice);
    failed += finding.health == Health::kFail;
  }
  out.say(table.text());
  out.result().set("healthy", failed == 0).set("checks", objects);
  if (failed == 0) return {};
  return fail(ErrorCode::kUnavailable, format_count(failed, "check") + " failed; see above");
}

}  // namespace thaw
