// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/settings.h"

#include <cstdlib>
#include <utility>

#include "thaw/store/catalog.h"

namespace thaw {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::string> first_of(const std::optional<std::string>& a,
                                    const std::optional<std::string>& b,
                                    const std::optional<std::string>& c) {
  return a ? a : b ? b : c;
}

}  // namespace

Environment Environment::of_process() {
  return {variable("THAW_STORE"), variable("THAW_TENANT"), variable("THAW_KEYRING"),
          variable("THAW_CONFIG")};
}

Result<Settings> resolve_settings(const GlobalOptions& options, const Environment& environment) {
  const std::optional<std::string> asked =
      first_of(options.config, environment.config, std::nullopt);
  const std::string path = asked.value_or(kDefaultConfig);
  Result<Config> config = read_config(path);
  if (!config && (asked || config.error().code != ErrorCode::kNotFound)) {
    return fail(std::move(config).error());
  }
  Settings settings;
  if (config) {
    settings.config = std::move(*config);
    settings.config_path = path;
  }
  const Config& file = settings.config;
  settings.store = first_of(options.store, environment.store, file.store);
  settings.tenant =
      first_of(options.tenant, environment.tenant, file.tenant).value_or(kDefaultTenant);
  settings.keyring =
      first_of(options.keyring, environment.keyring, file.keyring).value_or(kDefaultKeyring);
  TRY(validate_name("tenant name", settings.tenant));
  return settings;
}

}  // namespace thaw
