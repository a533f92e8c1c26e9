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
  Settings settings;
  settings.config_path = first_of(options.config, environment.config, std::nullopt);
  Result<Config> config = read_config(settings.config_path.value_or(kDefaultConfig));
  if (config) {
    settings.config = std::move(*config);
    if (!settings.config_path) settings.config_path = kDefaultConfig;
  } else if (settings.config_path || config.error().code != ErrorCode::kNotFound) {
    return fail(std::move(config).error());
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
