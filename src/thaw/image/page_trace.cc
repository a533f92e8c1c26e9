// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_trace.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/image/paged_text.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr PagedText kFormat{.noun = "trace",
                            .pages_max = kTracePagesMax,
                            .bytes_max = kTraceTextBytesMax,
                            .lines_max = kTraceEventsMax};

Result<TraceEvent> parse_event(std::string_view line, uint64_t number, uint64_t page_count) {
  const bool gap_stands = std::count(line.begin(), line.end(), ' ') > 1;
  const auto page = parse_decimal(take_field(line, ' '), kTracePagesMax);
  if (!page) return kFormat.malformed(number, "it must begin with a page number");
  if (*page >= page_count) {
    return kFormat.malformed(number,
                             "page " + std::to_string(*page) + " is past the end of the image");
  }
  const std::string_view access = take_field(line, ' ');
  if (access != "r" && access != "w")
    return kFormat.malformed(number, "after the page stands 'r' or 'w'");
  TraceEvent event{*page, access == "w", 0};
  if (gap_stands) {
    const auto gap = parse_decimal(line, kTraceGapNsMax);
    if (!gap) {
      return kFormat.malformed(number,
                               "the gap must be 0 to " + std::to_string(kTraceGapNsMax) + " ns");
    }
    event.gap_ns = *gap;
  }
  return event;
}

}  // namespace

Result<PageTrace> parse_page_trace(std::string_view text) {
  PageTrace trace;
  TRY(kFormat.parse(
      text, [&](uint64_t pages) { trace.page_count = pages; },
      [&](std::string_view line, uint64_t number) -> Result<void> {
        ASSIGN_OR_RETURN(const TraceEvent event, parse_event(line, number, trace.page_count));
        trace.events.push_back(event);
        return {};
      }));
  return trace;
}

std::string format_page_trace(const PageTrace& trace) {
  CHECK(trace.page_count <= kTracePagesMax && trace.events.size() <= kTraceEventsMax);
  std::string text = kFormat.header(trace.page_count);
  for (const TraceEvent& event : trace.events) {
    CHECK(event.page < trace.page_count && event.gap_ns <= kTraceGapNsMax);
    put_decimal(text, event.page);
    text += event.write ? " w" : " r";
    if (event.gap_ns != 0) {
      text += ' ';
      put_decimal(text, event.gap_ns);
    }
    text += '\n';
  }
  // 10 digits of page, 13 of gap and 4 others a line: the limits on the parts keep the whole.
  static_assert(kTraceEventsMax * 27 + 64 <= kTraceTextBytesMax);
  return text;
}

Result<PageTrace> read_page_trace(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, read_file(path, kTraceTextBytesMax));
  Result<PageTrace> trace = parse_page_trace(as_text(bytes));
  if (!trace) return fail(std::move(trace).error().with_context(path));
  return trace;
}

Result<void> write_page_trace(const std::string& path, const PageTrace& trace) {
  return replace_file(path, as_bytes(format_page_trace(trace)), 0644);
}

}  // namespace thaw
