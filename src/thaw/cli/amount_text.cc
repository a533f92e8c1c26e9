// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/amount_text.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "thaw/base/bytes.h"
#include "thaw/base/name.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

struct Unit {
  std::string_view suffix;
  uint64_t bytes;
};
constexpr Unit kUnits[] = {{"", 1},       {"B", 1},      {"KiB", kKiB},
                           {"MiB", kMiB}, {"GiB", kGiB}, {"TiB", 1024 * kGiB}};

template <typename... Arguments>
std::string print(const char* format, Arguments... arguments) {
  char text[64];
  std::snprintf(text, sizeof text, format, arguments...);
  return text;
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  if (error == std::errc()) {
    for (const Unit& unit : kUnits) {
      if (suffix != unit.suffix) continue;
      if (number > std::numeric_limits<uint64_t>::max() / unit.bytes) break;
      return number * unit.bytes;
    }
  }
  return fail(ErrorCode::kInvalid,
              quote(text) + " is not a size; write it like 4096, 512KiB, 16MiB or 2GiB");
}

Result<uint64_t> parse_count(std::string_view text, uint64_t least, uint64_t most) {
  uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last || number < least || number > most) {
    return fail(ErrorCode::kInvalid, quote(text) + " is not a whole number from " +
                                         std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

std::string format_seconds(double seconds) {
  if (seconds < 0.9995) return print("%.0f ms", seconds * 1000);
  if (seconds < 59.95) return print("%.1f s", seconds);
  const auto whole = static_cast<uint64_t>(std::llround(std::min(seconds, 1e15)));
  const uint64_t minutes = whole / 60;
  if (minutes < 60) return std::to_string(minutes) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

std::string format_rate(uint64_t bytes, double seconds) {
  if (!(seconds > 0)) return "-";
  return human_bytes(static_cast<uint64_t>(std::min(double(bytes) / seconds, 1e18))) + "/s";
}

std::string format_share(uint64_t part, uint64_t whole) {
  return whole == 0 ? "-" : print("%.1f %%", 100 * share(part, whole));
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string format_count(uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace thaw
