// SPDX-License-Identifier: Apache-2.0
//
// PageShape: which pages of a memory image hold data; the others are zero. With a page trace it is
// all that a benchmark needs of a real guest, and nothing of what the guest knew. Plain text:
//
//   thaw shape v1 pages=65536
//   16 6
//   31 2
//
// The header gives the image's size in pages of 4 KiB. Then one line a run of data pages: its first
// page and their number, at least 1. Runs ascend, and between two of them lies at least one zero
// page, so a shape has one text. Decimal numbers without sign or leading zeros, single spaces,
// every line ended by '\n'. It is parsed as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/units.h"

namespace thaw {

struct PageShape {
  uint64_t page_count = 0;  // of the image
  std::vector<PageRun> runs;
  uint64_t data_pages() const;
  friend bool operator==(const PageShape&, const PageShape&) = default;
};

/// Limits that the writer keeps and the parser enforces.
inline constexpr uint64_t kShapePagesMax = uint64_t{1} << 32;  // 16 TiB, as for an image
inline constexpr uint64_t kShapeRunsMax = uint64_t{1} << 24;
inline constexpr uint64_t kShapeTextBytesMax = uint64_t{1} << 29;

/// kInvalid with the number of the first wrong line, kUnsupported for another version, kExhausted
/// above a limit.
Result<PageShape> parse_page_shape(std::string_view text);
/// The text that parse_page_shape() takes back to an equal shape. Aborts if the shape breaks what
/// the format says.
std::string format_page_shape(const PageShape& shape);

/// parse_page_shape() of a file, its path in front of the message.
Result<PageShape> read_page_shape(const std::string& path);

}  // namespace thaw
