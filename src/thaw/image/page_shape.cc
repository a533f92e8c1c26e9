// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_shape.h"

#include "thaw/base/check.h"
#include "thaw/image/decimal_text.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr std::string_view kMagic = "thaw shape v";
constexpr std::string_view kHeader = "thaw shape v1 pages=";

tl::unexpected<Error> malformed(uint64_t line, const std::string& why) {
  return fail(ErrorCode::kInvalid, "page shape, line " + std::to_string(line) + ": " + why);
}

Result<uint64_t> parse_header(std::string_view line) {
  if (!line.starts_with(kHeader)) {
    if (line.starts_with(kMagic) && !line.substr(kMagic.size()).starts_with("1 ")) {
      return fail(ErrorCode::kUnsupported,
                  "page shape of another version than 1; use the thaw that wrote it");
    }
    return malformed(1, "it must be 'thaw shape v1 pages=<n>'");
  }
  const auto pages = parse_decimal(line.substr(kHeader.size()), kShapePagesMax);
  if (!pages)
    return malformed(1, "the number of pages must be 0 to " + std::to_string(kShapePagesMax));
  return *pages;
}

// `free_from`: the first page that the run may begin with.
Result<PageRun> parse_run(std::string_view line, uint64_t number, uint64_t free_from,
                          uint64_t page_count) {
  const auto page = parse_decimal(take_field(line, ' '), kShapePagesMax);
  if (!page) return malformed(number, "it must begin with a page number");
  const auto count = parse_decimal(line, kShapePagesMax);
  if (!count || *count == 0) return malformed(number, "after the page stands the run's length");
  if (*page < free_from) {
    return malformed(number, "page " + std::to_string(*page) +
                                 " is not behind a zero page after the run before");
  }
  if (*page + *count > page_count) return malformed(number, "the run ends past the image");
  return PageRun{*page, *count};
}

}  // namespace

uint64_t PageShape::data_pages() const {
  uint64_t pages = 0;
  for (const PageRun& run : runs) pages += run.count;
  return pages;
}

Result<PageShape> parse_page_shape(std::string_view text) {
  if (text.size() > kShapeTextBytesMax) {
    return fail(ErrorCode::kExhausted, "page shape is above the limit of " +
                                           std::to_string(kShapeTextBytesMax) + " bytes");
  }
  PageShape shape;
  uint64_t number = 0;
  while (number == 0 || !text.empty()) {
    ++number;
    if (text.find('\n') == std::string_view::npos) {
      return malformed(number, text.empty() ? "the header is missing" : "its end is cut off");
    }
    const std::string_view line = take_field(text, '\n');
    if (number == 1) {
      ASSIGN_OR_RETURN(shape.page_count, parse_header(line));
      continue;
    }
    if (shape.runs.size() == kShapeRunsMax) {
      return fail(ErrorCode::kExhausted,
                  "page shape has more than " + std::to_string(kShapeRunsMax) + " runs");
    }
    const uint64_t free_from = shape.runs.empty() ? 0 : shape.runs.back().end() + 1;
    ASSIGN_OR_RETURN(const PageRun run, parse_run(line, number, free_from, shape.page_count));
    shape.runs.push_back(run);
  }
  return shape;
}

std::string format_page_shape(const PageShape& shape) {
  CHECK(shape.page_count <= kShapePagesMax && shape.runs.size() <= kShapeRunsMax);
  std::string text(kHeader);
  put_decimal(text, shape.page_count);
  text += '\n';
  uint64_t free_from = 0;
  for (const PageRun& run : shape.runs) {
    CHECK(run.page >= free_from && run.count > 0 && run.page < shape.page_count &&
          run.count <= shape.page_count - run.page);
    free_from = run.end() + 1;
    put_decimal(text, run.page);
    text += ' ';
    put_decimal(text, run.count);
    text += '\n';
  }
  // 10 digits each of page and count and 2 others a line: the limit on the runs keeps the whole.
  static_assert(kShapeRunsMax * 22 + 64 <= kShapeTextBytesMax);
  return text;
}

Result<PageShape> read_page_shape(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, read_file(path, kShapeTextBytesMax));
  Result<PageShape> shape = parse_page_shape(as_text(bytes));
  if (!shape) return fail(std::move(shape).error().with_context(path));
  return shape;
}

}  // namespace thaw
