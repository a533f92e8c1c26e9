// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_shape.h"

#include "thaw/base/check.h"
#include "thaw/image/paged_text.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr PagedText kFormat{.noun = "shape",
                            .pages_max = kShapePagesMax,
                            .bytes_max = kShapeTextBytesMax,
                            .lines_max = kShapeRunsMax};

// `free_from`: the first page that the run may begin with.
Result<PageRun> parse_run(std::string_view line, uint64_t number, uint64_t free_from,
                          uint64_t page_count) {
  const auto page = parse_decimal(take_field(line, ' '), kShapePagesMax);
  if (!page) return kFormat.malformed(number, "it must begin with a page number");
  const auto count = parse_decimal(line, kShapePagesMax);
  if (!count || *count == 0)
    return kFormat.malformed(number, "after the page stands the run's length");
  if (*page < free_from) {
    return kFormat.malformed(number, "page " + std::to_string(*page) +
                                         " is not behind a zero page after the run before");
  }
  if (*page + *count > page_count) return kFormat.malformed(number, "the run ends past the image");
  return PageRun{*page, *count};
}

}  // namespace

uint64_t PageShape::data_pages() const {
  uint64_t pages = 0;
  for (const PageRun& run : runs) pages += run.count;
  return pages;
}

Result<PageShape> parse_page_shape(std::string_view text) {
  PageShape shape;
  TRY(kFormat.parse(
      text, [&](uint64_t pages) { shape.page_count = pages; },
      [&](std::string_view line, uint64_t number) -> Result<void> {
        const uint64_t free_from = shape.runs.empty() ? 0 : shape.runs.back().end() + 1;
        ASSIGN_OR_RETURN(const PageRun run, parse_run(line, number, free_from, shape.page_count));
        shape.runs.push_back(run);
        return {};
      }));
  return shape;
}

std::string format_page_shape(const PageShape& shape) {
  CHECK(shape.page_count <= kShapePagesMax && shape.runs.size() <= kShapeRunsMax);
  std::string text = kFormat.header(shape.page_count);
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
