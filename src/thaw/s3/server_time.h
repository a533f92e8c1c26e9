// SPDX-License-Identifier: Apache-2.0
//
// The server's clock, as its answers tell it: signatures are refused when the clocks differ.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "thaw/s3/http_message.h"

namespace thaw {

/// "2026-11-23T15:30:00Z" (with or without a fraction) or a Date header's "Mon, 23 Nov 2026
/// 15:30:00 GMT"; nullopt if it is neither.
std::optional<std::chrono::system_clock::time_point> parse_server_time(const std::string& text);

/// "34 minutes", "2 hours", "41 days": for people. The sign does not count.
std::string human_duration(std::chrono::seconds duration);

}  // namespace thaw
