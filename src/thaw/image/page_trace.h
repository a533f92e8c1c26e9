// SPDX-License-Identifier: Apache-2.0
//
// PageTrace: which pages of a memory image a guest touched, in order. It is plain text, so that
// recorders in any language can write it and people can read and cut it:
//
//   thaw trace v1 pages=131072
//   2051 r
//   77 w 1500
//
// The header gives the image's size in pages of 4 KiB. Then one line an event: the page, `r` or
// `w`, and, if known, the nanoseconds since the event before. Decimal numbers without sign or
// leading zeros, single spaces, every line ended by '\n'. It is parsed as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"

namespace thaw {

struct TraceEvent {
  uint64_t page = 0;
  bool write = false;
  uint64_t gap_ns = 0;  // since the event before; 0 if unknown
  friend bool operator==(const TraceEvent&, const TraceEvent&) = default;
};

struct PageTrace {
  uint64_t page_count = 0;  // of the image; every event's page is below it
  std::vector<TraceEvent> events;
  friend bool operator==(const PageTrace&, const PageTrace&) = default;
};

/// Limits that the writer keeps and the parser enforces.
inline constexpr uint64_t kTracePagesMax = uint64_t{1} << 32;  // 16 TiB, as for an image
inline constexpr uint64_t kTraceEventsMax = uint64_t{1} << 24;
inline constexpr uint64_t kTraceGapNsMax = 3'600'000'000'000;  // an hour
inline constexpr uint64_t kTraceTextBytesMax = uint64_t{1} << 29;

/// kInvalid with the number of the first wrong line, kUnsupported for another version, kExhausted
/// above a limit.
Result<PageTrace> parse_page_trace(std::string_view text);
/// The text that parse_page_trace() takes back to an equal trace. Aborts if the trace breaks a
/// limit.
std::string format_page_trace(const PageTrace& trace);

/// parse_page_trace() of a file, its path in front of the message.
Result<PageTrace> read_page_trace(const std::string& path);
/// Replaces the file as one step.
Result<void> write_page_trace(const std::string& path, const PageTrace& trace);

}  // namespace thaw
