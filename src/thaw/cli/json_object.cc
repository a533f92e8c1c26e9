// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/json_object.h"

#include <cmath>
#include <cstdio>

#include "thaw/base/bytes.h"

namespace thaw {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

}  // namespace

JsonObject& JsonObject::set(std::string_view key, double value) {
  if (!std::isfinite(value)) return put(key, "null");
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return put(key, text);
}

JsonObject& JsonObject::set(std::string_view key, std::span<const JsonObject> values) {
  std::string list;
  for (const JsonObject& value : values) list += (list.empty() ? "" : ",") + value.text();
  return put(key, "[" + list + "]");
}

JsonObject& JsonObject::set(std::string_view key, std::span<const std::string> values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + quoted(value);
  return put(key, "[" + list + "]");
}

std::string JsonObject::quoted(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else if (byte >= 0x80 && !utf8) {
      out += "\\\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

JsonObject& JsonObject::put(std::string_view key, std::string_view value) {
  if (!body_.empty()) body_ += ',';
  body_ += quoted(key);
  body_ += ':';
  body_ += value;
  return *this;
}

}  // namespace thaw
