// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/utc_text.h"

#include <ctime>

namespace thaw {

std::string utc_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  // A year that no int holds.
  if (::gmtime_r(&seconds, &parts) == nullptr) return "?";
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace thaw
