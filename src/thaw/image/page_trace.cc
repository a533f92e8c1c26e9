// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_trace.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/image/decimal_text.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr std::string_view kMagic = "thaw trace v";
constexpr std::string_view kHeader = "thaw trace v1 pages=";

tl::unexpected<Error> malformed(uint64_t line, const std::string& why) {
  return fail(ErrorCode::kInvalid, "page trace, line " + std::to_string(line) + ": " + why);
}

Result<uint64_t> parse_header(std::string_view line) {
  if (!line.starts_with(kHeader)) {
    if (line.starts_with(kMagic) && !line.substr(kMagic.size()).starts_with("1 ")) {
      return fail(ErrorCode::kUnsupported,
                  "page trace of another version than 1; use the thaw that wrote it");
    }
    return malformed(1, "it must be 'thaw trace v1 pages=<n>'");
  }
  const auto pages = parse_decimal(line.substr(kHeader.size()), kTracePagesMax);
  if (!pages)
    return malformed(1, "the number of pages must be 0 to " + std::to_string(kTracePagesMax));
  return *pages;
}

Result<TraceEvent> parse_event(std::string_view line, uint64_t number, uint64_t page_count) {
  const bool gap_stands = std::count(line.begin(), line.end(), ' ') > 1;
  const auto page = parse_decimal(take_field(line, ' '), kTracePagesMax);
  if (!page) return malformed(number, "it must begin with a page number");
  if (*page >= page_count) {
    return malformed(number, "page " + std::to_string(*page) + " is past the end of the image");
  }
  const std::string_view access = take_field(line, ' ');
  if (access != "r" && access != "w") return malformed(number, "after the page stands 'r' or 'w'");
  TraceEvent event{*page, access == "w", 0};
  if (gap_stands) {
    const auto gap = parse_decimal(line, kTraceGapNsMax);
    if (!gap) {
      return malformed(number, "the gap must be 0 to " + std::to_string(kTraceGapNsMax) + " ns");
    }
    event.gap_ns = *gap;
  }
  return event;
}

}  // namespace

Result<PageTrace> parse_page_trace(std::string_view text) {
  if (text.size() > kTraceTextBytesMax) {
    return fail(ErrorCode::kExhausted, "page trace is above the limit of " +
                                           std::to_string(kTraceTextBytesMax) +
                                           " bytes; record a shorter run");
  }
  PageTrace trace;
  uint64_t number = 0;
  while (number == 0 || !text.empty()) {
    ++number;
    if (text.find('\n') == std::string_view::npos) {
      return malformed(number, text.empty() ? "the header is missing" : "its end is cut off");
    }
    const std::string_view line = take_field(text, '\n');
    if (number == 1) {
      ASSIGN_OR_RETURN(trace.page_count, parse_header(line));
      continue;
    }
    if (trace.events.size() == kTraceEventsMax) {
      return fail(ErrorCode::kExhausted, "page trace has more than " +
                                             std::to_string(kTraceEventsMax) +
                                             " events; record a shorter run");
    }
    ASSIGN_OR_RETURN(const TraceEvent event, parse_event(line, number, trace.page_count));
    trace.events.push_back(event);
  }
  return trace;
}

std::string format_page_trace(const PageTrace& trace) {
  CHECK(trace.page_count <= kTracePagesMax && trace.events.size() <= kTraceEventsMax);
  std::string text(kHeader);
  put_decimal(text, trace.page_count);
  text += '\n';
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
