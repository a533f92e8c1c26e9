// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/server_time.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace thaw {
namespace {

/// system_clock counts nanoseconds in 64 bits, which end in 2262.
constexpr int kYearMax = 2200;

using WallTime = std::chrono::system_clock::time_point;

/// Exactly `digits` decimal digits at `at`.
std::optional<int> digits_at(std::string_view text, size_t at, size_t digits) {
  if (text.size() < at + digits) return std::nullopt;
  const std::string_view part = text.substr(at, digits);
  int value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, 10);
  if (error != std::errc() || end != part.data() + part.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<WallTime> time_of(std::optional<int> year, std::optional<int> month,
                                std::optional<int> day, std::string_view text, size_t clock_at) {
  const std::optional<int> hour = digits_at(text, clock_at, 2);
  const std::optional<int> minute = digits_at(text, clock_at + 3, 2);
  const std::optional<int> second = digits_at(text, clock_at + 6, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (*year < 1970 || *year > kYearMax || *month < 1 || *month > 12 || *day < 1 || *day > 31 ||
      *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  std::tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::optional<int> month_of(std::string_view name) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (size_t i = 0; i < kMonths.size(); ++i) {
    if (kMonths[i] == name) return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

}  // namespace

std::optional<WallTime> parse_server_time(const std::string& text) {
  // 0123456789012345678          01234567890123456789012345678
  // 2026-11-23T15:30:00Z         Mon, 23 Nov 2026 15:30:00 GMT
  if (text.size() >= 20 && text[4] == '-' && text[7] == '-' && text[10] == 'T' &&
      text.back() == 'Z') {
    return time_of(digits_at(text, 0, 4), digits_at(text, 5, 2), digits_at(text, 8, 2), text, 11);
  }
  if (text.size() == 29 && text.ends_with(" GMT") && text[3] == ',') {
    return time_of(digits_at(text, 12, 4), month_of(std::string_view(text).substr(8, 3)),
                   digits_at(text, 5, 2), text, 17);
  }
  return std::nullopt;
}

std::string human_duration(std::chrono::seconds duration) {
  const int64_t seconds = std::abs(duration.count());
  if (seconds >= 2 * 86400) return std::to_string(seconds / 86400) + " days";
  if (seconds >= 2 * 3600) return std::to_string(seconds / 3600) + " hours";
  if (seconds >= 2 * 60) return std::to_string(seconds / 60) + " minutes";
  return std::to_string(seconds) + " seconds";
}

}  // namespace thaw
