// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/xml_scanner.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace thaw {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kEntityBytesMax = 10;  // "#x10ffff" and a few leading zeros

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':' || c == '-' || c == '.';
}

std::string_view local_name(std::string_view name) {
  const size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

bool append_utf8(uint32_t code, std::string& out) {
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code == 0 || surrogate || code > 0x10ffff) return false;
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return true;
}

}  // namespace

XmlScanner::Event XmlScanner::error() {
  failed_ = true;
  return Event::kError;
}

bool XmlScanner::skip_past(std::string_view mark) {
  const size_t at = rest_.find(mark);
  if (at == std::string_view::npos) return false;
  rest_.remove_prefix(at + mark.size());
  return true;
}

std::string_view XmlScanner::take_name() {
  const size_t length = static_cast<size_t>(
      std::find_if_not(rest_.begin(), rest_.end(), is_name_character) - rest_.begin());
  const std::string_view name = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return name;
}

XmlScanner::Event XmlScanner::next() {
  if (failed_) return Event::kError;
  if (end_is_due_) {
    end_is_due_ = false;
    name_ = local_name(open_.back());
    open_.pop_back();
    return Event::kEnd;
  }
  text_.clear();
  while (true) {
    if (rest_.empty()) return root_seen_ && open_.empty() ? Event::kDone : error();
    if (rest_.starts_with("<!--")) {
      rest_.remove_prefix(4);
      if (!skip_past("-->")) return error();
    } else if (rest_.starts_with("<?")) {
      if (!skip_past("?>")) return error();
    } else if (open_.empty()) {
      if (rest_.front() == '<') return markup();
      // Outside of the root there is only space; some servers begin with a byte order mark.
      if (!root_seen_ && rest_.starts_with("\xef\xbb\xbf"))
        rest_.remove_prefix(2);
      else if (kSpace.find(rest_.front()) == std::string_view::npos)
        return error();
      rest_.remove_prefix(1);
    } else if (rest_.starts_with("<![CDATA[")) {
      rest_.remove_prefix(9);
      const std::string_view before = rest_;
      if (!skip_past("]]>")) return error();
      text_ += before.substr(0, before.size() - rest_.size() - 3);
    } else if (rest_.front() == '<') {
      return text_.empty() ? markup() : Event::kText;
    } else if (rest_.front() == '&') {
      if (!append_entity()) return error();
    } else {
      const size_t length = std::min(rest_.find_first_of("<&"), rest_.size());
      text_ += rest_.substr(0, length);
      rest_.remove_prefix(length);
    }
  }
}

XmlScanner::Event XmlScanner::markup() {
  rest_.remove_prefix(1);
  if (rest_.starts_with('/')) {
    rest_.remove_prefix(1);
    return end_element();
  }
  return begin_element();
}

XmlScanner::Event XmlScanner::begin_element() {
  const std::string_view full = take_name();
  if (full.empty() || open_.size() >= kXmlDepthMax || (root_seen_ && open_.empty())) return error();
  while (true) {
    const size_t space = std::min(rest_.find_first_not_of(kSpace), rest_.size());
    rest_.remove_prefix(space);
    if (rest_.starts_with('>') || rest_.starts_with("/>")) break;
    // name="value" or name='value'
    if (space == 0 || take_name().empty() || !rest_.starts_with('=')) return error();
    rest_.remove_prefix(1);
    if (!rest_.starts_with('"') && !rest_.starts_with('\'')) return error();
    const char mark = rest_.front();
    rest_.remove_prefix(1);
    if (!skip_past({&mark, 1})) return error();
  }
  end_is_due_ = rest_.front() == '/';
  rest_.remove_prefix(end_is_due_ ? 2 : 1);
  root_seen_ = true;
  open_.push_back(full);
  name_ = local_name(full);
  return Event::kBegin;
}

XmlScanner::Event XmlScanner::end_element() {
  const std::string_view full = take_name();
  rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size()));
  if (!rest_.starts_with('>') || open_.empty() || open_.back() != full) return error();
  rest_.remove_prefix(1);
  open_.pop_back();
  name_ = local_name(full);
  return Event::kEnd;
}

bool XmlScanner::append_entity() {
  const size_t end = rest_.substr(0, kEntityBytesMax + 2).find(';');
  if (end == std::string_view::npos) return false;
  const std::string_view entity = rest_.substr(1, end - 1);
  rest_.remove_prefix(end + 1);
  if (entity.starts_with('#')) {
    const bool hex = entity.starts_with("#x");
    const std::string_view digits = entity.substr(hex ? 2 : 1);
    uint32_t code = 0;
    const auto [stop, problem] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
    return problem == std::errc() && stop == digits.data() + digits.size() &&
           append_utf8(code, text_);
  }
  if (entity == "lt")
    text_ += '<';
  else if (entity == "gt")
    text_ += '>';
  else if (entity == "amp")
    text_ += '&';
  else if (entity == "quot")
    text_ += '"';
  else if (entity == "apos")
    text_ += '\'';
  else
    return false;
  return true;
}

}  // namespace thaw
