// SPDX-License-Identifier: Apache-2.0
//
// Settings: what holds for every verb, from three places: the command line beats the environment,
// which beats the config file, which beats the defaults.
#pragma once

#include <optional>
#include <string>

#include "thaw/base/log.h"
#include "thaw/base/result.h"
#include "thaw/cli/config.h"

namespace thaw {

inline constexpr char kDefaultTenant[] = "default";
inline constexpr char kDefaultKeyring[] = "/etc/thaw/keys";
inline constexpr char kDefaultConfig[] = "/etc/thaw/thaw.toml";

/// The options that every verb takes, as they were given.
struct GlobalOptions {
  std::optional<std::string> store;
  std::optional<std::string> tenant;
  std::optional<std::string> keyring;
  std::optional<std::string> config;
  bool json = false;
  LogLevel log_level = LogLevel::kWarning;
};

/// The variables that thaw reads; one that is empty counts as not set.
struct Environment {
  std::optional<std::string> store;    // THAW_STORE
  std::optional<std::string> tenant;   // THAW_TENANT
  std::optional<std::string> keyring;  // THAW_KEYRING
  std::optional<std::string> config;   // THAW_CONFIG

  static Environment of_process();
};

struct Settings {
  std::optional<std::string> store;  // as written: "dir:/var/lib/thaw"
  std::string tenant;
  std::string keyring;                     // a directory
  std::optional<std::string> config_path;  // of the file that was read
  Config config;
};

/// kInvalid for a tenant that is no name; errors of read_config() for a file that was asked for;
/// kDefaultConfig may be missing.
Result<Settings> resolve_settings(const GlobalOptions& options, const Environment& environment);

}  // namespace thaw
