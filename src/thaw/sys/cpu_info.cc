// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/cpu_info.h"

#include <fstream>
#include <sstream>
#include <string_view>

namespace thaw {
namespace {

/// The value of the first line "name : value"; empty if there is none.
std::string value_of(std::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const size_t value = line.find_first_not_of(' ', colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

}  // namespace

std::string cpu_model() { return value_of("model name"); }

std::set<std::string> cpu_flags() {
  const std::string x86 = value_of("flags");
  std::istringstream words(x86.empty() ? value_of("Features") : x86);
  std::set<std::string> flags;
  for (std::string word; words >> word;) flags.insert(word);
  return flags;
}

}  // namespace thaw
