// SPDX-License-Identifier: Apache-2.0
//
// What the text formats of this folder (page_trace.h, page_shape.h) are read and written with:
// lines of decimal numbers without sign or leading zeros, between single spaces.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "thaw/base/check.h"

namespace thaw {

/// The whole text as one number, at most `max`.
inline std::optional<uint64_t> parse_decimal(std::string_view text, uint64_t max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > max) return std::nullopt;
  return value;
}

/// The text before the next `separator`, which is consumed; all of it if there is none.
inline std::string_view take_field(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

inline void put_decimal(std::string& out, uint64_t value) {
  char digits[20];  // 2^64 has 20 digits
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  CHECK(error == std::errc());
  out.append(digits, end);
}

}  // namespace thaw
