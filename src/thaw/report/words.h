// SPDX-License-Identifier: Apache-2.0
//
// How the report says numbers, estimates and lists, in sentences and tips.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/report/estimate.h"

namespace thaw {

/// Three significant digits, thousands apart: "0.0123", "1.2", "41.2", "1,230". "infinite" and
/// "unknown" for what is no number.
std::string number_words(double value);
/// "1.23 ms (95 %: 1.1 to 1.4)"; without an interval "1.23 ms (one repetition)".
std::string estimate_words(const Estimate& estimate, std::string_view unit);
/// "a", "a and b", "a, b and c".
std::string list_words(const std::vector<std::string>& words);
/// The same of longer pieces: "a; b; c".
std::string clause_words(const std::vector<std::string>& clauses);
/// "1 function", "3 functions".
std::string count_words(size_t count, std::string_view noun);

/// What the reader has to know of so few repetitions: " 5 repetitions: a hint, not a finding.";
/// nothing from kRoundsEnough on.
std::string caution_words(size_t rounds);
inline constexpr size_t kRoundsEnough = 9;

/// Of a ratio to something: "faster than NAME", "slower than NAME", or that they cannot be told
/// apart.
std::string verdict_words(const Estimate& ratio, std::string_view name);

}  // namespace thaw
