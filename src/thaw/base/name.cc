// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"

#include <algorithm>
#include <cstdio>

namespace thaw {
namespace {

constexpr size_t kQuotedBytesMax = 64;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._:@+-").find(c) != std::string_view::npos;
}

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), is_name_character);
}

std::string quote(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, kQuotedBytesMax)) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c >= ' ' && c <= '~') {
      result += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      result += escaped;
    }
  }
  result += text.size() > kQuotedBytesMax ? "\"..." : "\"";
  return result;
}

}  // namespace thaw
