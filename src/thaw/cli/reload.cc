// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/reload.h"

#include "thaw/base/log.h"

namespace thaw {
namespace {

Result<size_t> take_nodes(const Settings& settings, TierStack& tiers) {
  if (!settings.config_path) return fail(ErrorCode::kInvalid, "there is no config file");
  ASSIGN_OR_RETURN(const Config config, read_config(*settings.config_path));
  if (!config.tiers.zone)
    return fail(ErrorCode::kInvalid, "the config file has no [zone] any more");
  if (tiers.zone_client() == nullptr) {
    return fail(ErrorCode::kInvalid, "this process runs without a zone: start it again");
  }
  TRY(tiers.zone_client()->set_nodes(config.tiers.zone->nodes));
  return config.tiers.zone->nodes.size();
}

}  // namespace

void reload_nodes(const Settings& settings, TierStack& tiers) {
  const Result<size_t> nodes = take_nodes(settings, tiers);
  if (nodes) {
    log_info("reloaded: the zone has " + std::to_string(*nodes) + " nodes");
  } else {
    log_error("the zone's nodes stay as they are: " + nodes.error().message);
  }
}

}  // namespace thaw
