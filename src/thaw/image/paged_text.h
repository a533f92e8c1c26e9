// SPDX-License-Identifier: Apache-2.0
//
// What the text formats of this folder (page_trace.h, page_shape.h) have in common: a header
// "thaw <noun> v1 pages=<n>", then lines of decimal numbers without sign or leading zeros, between
// single spaces, each ended by '\n'.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "thaw/base/result.h"

namespace thaw {

/// The whole text as one number, at most `max`.
std::optional<uint64_t> parse_decimal(std::string_view text, uint64_t max);
/// The text before the next `separator`, which is consumed; all of it if there is none.
std::string_view take_field(std::string_view& text, char separator);
void put_decimal(std::string& out, uint64_t value);

/// One of those formats.
struct PagedText {
  std::string_view noun;  // "trace", in the header and in messages
  uint64_t pages_max = 0;
  uint64_t bytes_max = 0;
  uint64_t lines_max = 0;  // after the header

  /// kInvalid, with the number of the line.
  tl::unexpected<Error> malformed(uint64_t line, const std::string& why) const;
  std::string header(uint64_t pages) const;
  /// Calls `on_pages(n)` for the header, then `on_line(line, number)` for each further line, until
  /// one fails. kInvalid with the number of the line that is wrong, kUnsupported for another
  /// version, kExhausted above a limit.
  Result<void> parse(
      std::string_view text, const std::function<void(uint64_t pages)>& on_pages,
      const std::function<Result<void>(std::string_view line, uint64_t number)>& on_line) const;
};

}  // namespace thaw
