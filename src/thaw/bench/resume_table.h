// SPDX-License-Identifier: Apache-2.0
//
// The table of all strategies by function and tier, next to what plain local files give.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "thaw/bench/paired.h"

namespace thaw {

/// Runs the ways in turns, prints a line each, and returns
/// {"rounds": n, "rows": [{"tier", "way", "function", "median_ms", "p99_ms", ...}]}; the function
/// "all" pools the samples of all functions.
nlohmann::ordered_json resume_table(const BenchScale& scale);

}  // namespace thaw
