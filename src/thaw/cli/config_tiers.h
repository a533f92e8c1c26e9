// SPDX-License-Identifier: Apache-2.0
//
// The sections of thaw.toml that say where chunks come from: [s3], [origin], [local] and [zone].
#pragma once

#include "thaw/base/result.h"
#include "thaw/cli/config.h"
#include "thaw/cli/config_section.h"

namespace thaw {

// Each reads a section that may be missing; kInvalid names source, line and key.
Result<void> read_s3(ConfigSection section, Config& config);
Result<void> read_origin(ConfigSection section, TierOptions& tiers);
/// [local] without a path, and [zone] without nodes, are errors; without the section there is no
/// such tier.
Result<void> read_local(ConfigSection section, TierOptions& tiers);
Result<void> read_zone(ConfigSection section, TierOptions& tiers);

}  // namespace thaw
