// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace thaw {

/// "2025-01-31T12:00:00Z": a time as RFC 3339 has it, in whole seconds of UTC. Any thread.
std::string utc_text(std::chrono::system_clock::time_point time);

}  // namespace thaw
