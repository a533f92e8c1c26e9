// SPDX-License-Identifier: Apache-2.0
//
// JsonObject: one JSON object on one line, its members in the order they were set. Written by hand
// because it is all that output needs and the JSON library costs seconds a file to compile.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace thaw {

class JsonObject {
 public:
  JsonObject& set(std::string_view key, std::string_view value) { return put(key, quoted(value)); }
  JsonObject& set(std::string_view key, const char* value) {
    return set(key, std::string_view(value));
  }
  JsonObject& set(std::string_view key, bool value) { return put(key, value ? "true" : "false"); }
  template <std::integral T>
  JsonObject& set(std::string_view key, T value) {
    return put(key, std::to_string(value));
  }
  /// Finite numbers; others become null.
  JsonObject& set(std::string_view key, double value);
  JsonObject& set(std::string_view key, const JsonObject& value) { return put(key, value.text()); }
  JsonObject& set(std::string_view key, std::span<const JsonObject> values);
  JsonObject& set(std::string_view key, std::span<const std::string> values);

  /// "{...}" without an end of line.
  std::string text() const { return "{" + body_ + "}"; }

  /// A JSON string. Text that is not UTF-8 has its bytes above 0x7e as \xNN in words.
  static std::string quoted(std::string_view text);

 private:
  JsonObject& put(std::string_view key, std::string_view value);

  std::string body_;
};

}  // namespace thaw
