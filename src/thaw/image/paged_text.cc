// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/paged_text.h"

#include <charconv>

#include "thaw/base/check.h"

namespace thaw {

std::optional<uint64_t> parse_decimal(std::string_view text, uint64_t max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value > max) return std::nullopt;
  return value;
}

std::string_view take_field(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

void put_decimal(std::string& out, uint64_t value) {
  char digits[20];  // 2^64 has 20 digits
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  CHECK(error == std::errc());
  out.append(digits, end);
}

tl::unexpected<Error> PagedText::malformed(uint64_t line, const std::string& why) const {
  return fail(ErrorCode::kInvalid,
              "page " + std::string(noun) + ", line " + std::to_string(line) + ": " + why);
}

std::string PagedText::header(uint64_t pages) const {
  std::string text = "thaw " + std::string(noun) + " v1 pages=";
  put_decimal(text, pages);
  return text + '\n';
}

Result<void> PagedText::parse(
    std::string_view text, const std::function<void(uint64_t pages)>& on_pages,
    const std::function<Result<void>(std::string_view line, uint64_t number)>& on_line) const {
  const std::string what = "page " + std::string(noun);
  if (text.size() > bytes_max) {
    return fail(ErrorCode::kExhausted,
                what + " is above the limit of " + std::to_string(bytes_max) + " bytes");
  }
  const std::string magic = "thaw " + std::string(noun) + " v";
  const std::string wanted = magic + "1 pages=";
  for (uint64_t number = 1; number == 1 || !text.empty(); ++number) {
    if (text.find('\n') == std::string_view::npos) {
      return malformed(number, text.empty() ? "the header is missing" : "its end is cut off");
    }
    std::string_view line = take_field(text, '\n');
    if (number > 1) {
      if (number - 1 > lines_max) {
        return fail(ErrorCode::kExhausted,
                    what + " has more than " + std::to_string(lines_max) + " lines");
      }
      TRY(on_line(line, number));
      continue;
    }
    if (!line.starts_with(wanted)) {
      if (line.starts_with(magic) && !line.substr(magic.size()).starts_with("1 ")) {
        return fail(ErrorCode::kUnsupported,
                    what + " of another version than 1; use the thaw that wrote it");
      }
      return malformed(1, "it must be '" + wanted + "<n>'");
    }
    const auto pages = parse_decimal(line.substr(wanted.size()), pages_max);
    if (!pages) {
      return malformed(1, "the number of pages must be 0 to " + std::to_string(pages_max));
    }
    on_pages(*pages);
  }
  return {};
}

}  // namespace thaw
