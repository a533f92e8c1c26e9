// SPDX-License-Identifier: Apache-2.0
//
// reload_nodes: what SIGHUP changes in a serving process: the zone's nodes.
#pragma once

#include "thaw/cli/settings.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// Reads the config file again and gives its nodes to the zone client; whatever is wrong is logged,
/// and the nodes stay as they are. Everything else in the file waits for the next start. Any
/// thread.
void reload_nodes(const Settings& settings, TierStack& tiers);

}  // namespace thaw
