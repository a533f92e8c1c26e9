// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/page_escape.h"

#include <cctype>

namespace thaw {
namespace {

/// ASCII only, as HTML compares.
bool starts_with_any_case(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != word[i]) return false;
  }
  return true;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string escape_json(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
  // Outside its texts JSON has none of these.
  for (const char c : json) {
    switch (c) {
      case '<':
        escaped += "\\u003c";
        break;
      case '>':
        escaped += "\\u003e";
        break;
      case '&':
        escaped += "\\u0026";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string escape_script(std::string_view script) {
  std::string escaped;
  escaped.reserve(script.size());
  for (size_t i = 0; i < script.size(); ++i) {
    escaped += script[i];
    const std::string_view rest = script.substr(i);
    if (starts_with_any_case(rest, "</script") || starts_with_any_case(rest, "<!--")) {
      escaped += '\\';
    } else if (starts_with_any_case(rest, "<script")) {
      escaped += "\\x73";  // an s
      ++i;
    }
  }
  return escaped;
}

}  // namespace thaw
