// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused with a message or parsed to a trace that keeps its limits and comes back
// from its own text.
#include <cstddef>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/image/page_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: char may alias any object.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto trace = thaw::parse_page_trace(text);
  if (!trace) {
    CHECK(!trace.error().message.empty());
    return 0;
  }
  for (const thaw::TraceEvent& event : trace->events) CHECK(event.page < trace->page_count);
  const auto back = thaw::parse_page_trace(thaw::format_page_trace(*trace));
  CHECK(back.has_value() && *back == *trace);
  return 0;
}
