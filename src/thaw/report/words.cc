// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/words.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace thaw {

std::string number_words(double value) {
  if (std::isnan(value)) return "unknown";
  if (std::isinf(value)) return "infinite";
  if (value == 0) return "0";
  const double magnitude = std::floor(std::log10(std::abs(value)));
  const int decimals = magnitude >= 2 ? 0 : static_cast<int>(std::min(2 - magnitude, 12.0));
  char text[400];  // a double has up to 309 digits before its point
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  std::string words = text;
  if (words.find('.') != std::string::npos) {
    words.erase(words.find_last_not_of('0') + 1);
    if (words.back() == '.') words.pop_back();
  }
  const size_t first = words[0] == '-' ? 1 : 0;
  const size_t point = std::min(words.find('.'), words.size());
  for (size_t at = point; at > first + 3;) words.insert(at -= 3, ",");
  return words;
}

std::string estimate_words(const Estimate& estimate, std::string_view unit) {
  std::string words = number_words(estimate.value) + " " + std::string(unit);
  if (!estimate.interval) return words + " (one repetition)";
  return words + " (95 %: " + number_words(estimate.interval->low) + " to " +
         number_words(estimate.interval->high) + ")";
}

std::string list_words(const std::vector<std::string>& words) {
  std::string list;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) list += i + 1 == words.size() ? " and " : ", ";
    list += words[i];
  }
  return list;
}

std::string clause_words(const std::vector<std::string>& clauses) {
  std::string list;
  for (const std::string& clause : clauses) list += (list.empty() ? "" : "; ") + clause;
  return list;
}

std::string count_words(size_t count, std::string_view noun) {
  return number_words(static_cast<double>(count)) + " " + std::string(noun) +
         (count == 1 ? "" : "s");
}

std::string caution_words(size_t rounds) {
  if (rounds >= kRoundsEnough) return "";
  if (rounds <= 1)
    return " One repetition: an example, without any uncertainty that could be told.";
  return " " + count_words(rounds, "repetition") + ": a hint; of so few an interval is too narrow.";
}

std::string verdict_words(const Estimate& ratio, std::string_view name) {
  const std::string to(name);
  if (!ratio.interval) return "one repetition cannot tell it from " + to;
  if (ratio.interval->low > 1) return "slower than " + to;
  if (ratio.interval->high < 1) return "faster than " + to;
  return "not to be told apart from " + to;
}

}  // namespace thaw
