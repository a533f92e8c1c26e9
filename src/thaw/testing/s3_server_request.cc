// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_request.h"

#include <algorithm>
#include <charconv>

namespace thaw {
namespace {

constexpr size_t kDeleteKeysMax = 1000;  // S3's own limit

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

S3Refusal bad_target(std::string message) { return {400, "InvalidURI", std::move(message)}; }

/// Reads tags and text from the front of a document.
class XmlScanner {
 public:
  explicit XmlScanner(std::string_view xml) : rest_(xml) {}

  bool take(std::string_view literal) {
    skip_space();
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  /// <name> or <name xmlns="...">.
  bool open(std::string_view name) {
    const std::string begin = "<" + std::string(name);
    if (take(begin + ">")) return true;
    if (!take(begin + " xmlns=\"")) return false;
    const size_t end = rest_.find("\">");
    // The value ends at the first of these, or it holds what no name space has.
    if (end == std::string_view::npos || rest_.find_first_of("\"<>") != end) return false;
    rest_.remove_prefix(end + 2);
    return true;
  }
  bool close(std::string_view name) { return take("</" + std::string(name) + ">"); }
  /// <name>text</name>, unescaped.
  std::optional<std::string> element(std::string_view name) {
    if (!take("<" + std::string(name) + ">")) return std::nullopt;
    const size_t end = rest_.find('<');
    if (end == std::string_view::npos) return std::nullopt;
    std::optional<std::string> text = unescape(rest_.substr(0, end));
    rest_.remove_prefix(end);
    if (!rest_.starts_with("</" + std::string(name) + ">")) return std::nullopt;
    rest_.remove_prefix(name.size() + 3);
    return text;
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    const size_t first = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(first, rest_.size()));
  }
  static std::optional<std::string> unescape(std::string_view text) {
    static constexpr std::pair<std::string_view, char> kEntities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    std::string plain;
    while (!text.empty()) {
      if (text[0] != '&') {
        plain += text[0];
        text.remove_prefix(1);
        continue;
      }
      const auto* entity = std::find_if(std::begin(kEntities), std::end(kEntities),
                                        [&](const auto& e) { return text.starts_with(e.first); });
      if (entity == std::end(kEntities)) return std::nullopt;
      plain += entity->second;
      text.remove_prefix(entity->first.size());
    }
    return plain;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<std::string_view> S3Request::header(std::string_view name) const {
  for (const auto& [header_name, value] : headers) {
    if (header_name == name) return value;
  }
  return std::nullopt;
}

bool S3Target::has(std::string_view name) const { return value(name).has_value(); }

std::optional<std::string_view> S3Target::value(std::string_view name) const {
  for (const auto& [parameter, text] : query) {
    if (parameter == name) return text;
  }
  return std::nullopt;
}

std::string s3_uri_encode(std::string_view text, bool keep_slash) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slash && c == '/')) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

std::optional<std::string> s3_uri_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

tl::expected<S3Target, S3Refusal> parse_s3_target(std::string_view target) {
  const auto refuse = [](std::string message) {
    return tl::unexpected<S3Refusal>(bad_target(std::move(message)));
  };
  S3Target parsed;
  const size_t mark = target.find('?');
  parsed.raw_path = std::string(target.substr(0, mark));
  if (!parsed.raw_path.starts_with('/')) return refuse("the path does not begin with '/'");
  const std::optional<std::string> path = s3_uri_decode(parsed.raw_path);
  if (!path || s3_uri_encode(*path, true) != parsed.raw_path) {
    return refuse("the path is not in canonical percent-encoding");
  }
  parsed.path = *path;
  if (mark == std::string_view::npos) return parsed;

  std::string previous;
  std::string_view rest = target.substr(mark + 1);
  if (rest.empty()) return refuse("an empty query");
  while (true) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string name(pair.substr(0, equals));
    const std::string value(pair.substr(std::min(equals + 1, pair.size())));
    const std::optional<std::string> plain_name = s3_uri_decode(name);
    const std::optional<std::string> plain_value = s3_uri_decode(value);
    if (name.empty() || !plain_name || !plain_value || s3_uri_encode(*plain_name, false) != name ||
        s3_uri_encode(*plain_value, false) != value) {
      return refuse("a query parameter is not in canonical percent-encoding");
    }
    if (!parsed.query.empty() && name <= previous) {
      return refuse("query parameters are repeated or not in ascending order");
    }
    parsed.canonical_query += (parsed.query.empty() ? "" : "&") + name + "=" + value;
    parsed.query.emplace_back(*plain_name, *plain_value);
    previous = name;
    if (end == rest.size()) return parsed;
    rest.remove_prefix(end + 1);
  }
}

std::string xml_escape(std::string_view text) {
  std::string escaped;
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
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string xml_element(std::string_view name, std::string_view text) {
  const std::string tag(name);
  return "<" + tag + ">" + xml_escape(text) + "</" + tag + ">";
}

std::optional<S3DeleteList> parse_s3_delete(std::string_view xml) {
  XmlScanner scanner(xml);
  if (scanner.take("<?xml") && !scanner.take("version=\"1.0\" encoding=\"UTF-8\"?>")) {
    return std::nullopt;
  }
  if (!scanner.open("Delete")) return std::nullopt;
  S3DeleteList list;
  if (const auto quiet = scanner.element("Quiet")) {
    if (*quiet != "true" && *quiet != "false") return std::nullopt;
    list.quiet = *quiet == "true";
  }
  while (scanner.take("<Object>")) {
    std::optional<std::string> key = scanner.element("Key");
    if (!key || !scanner.close("Object")) return std::nullopt;
    list.keys.push_back(std::move(*key));
  }
  if (!scanner.close("Delete") || !scanner.at_end()) return std::nullopt;
  if (list.keys.empty() || list.keys.size() > kDeleteKeysMax) return std::nullopt;
  return list;
}

bool is_valid_s3_key(std::string_view key) {
  if (key.empty() || key.size() > kS3KeyBytesMax || !is_utf8(key)) return false;
  for (const char c : key) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  while (true) {
    const size_t end = key.find('/');
    const std::string_view part = key.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == std::string_view::npos) return true;
    key.remove_prefix(end + 1);
  }
}

std::optional<uint64_t> parse_s3_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace thaw
