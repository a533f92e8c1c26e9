// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "thaw/image/page_trace.h"

namespace thaw {
namespace {

rc::Gen<PageTrace> any_trace() {
  return rc::gen::mapcat(rc::gen::inRange<uint64_t>(1, kTracePagesMax + 1), [](uint64_t pages) {
    const auto event = rc::gen::construct<TraceEvent>(
        rc::gen::inRange<uint64_t>(0, pages), rc::gen::arbitrary<bool>(),
        rc::gen::oneOf(rc::gen::just<uint64_t>(0),
                       rc::gen::inRange<uint64_t>(0, kTraceGapNsMax + 1)));
    return rc::gen::construct<PageTrace>(rc::gen::just(pages),
                                         rc::gen::container<std::vector<TraceEvent>>(event));
  });
}

RC_GTEST_PROP(PageTraceProperty, TextComesBackAsTheSameTrace, ()) {
  const PageTrace trace = *any_trace();
  const auto back = parse_page_trace(format_page_trace(trace));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == trace);
}

RC_GTEST_PROP(PageTraceProperty, ACutTextIsRefusedUnlessCutBetweenLines, ()) {
  const std::string text = format_page_trace(*any_trace());
  const size_t length = *rc::gen::inRange<size_t>(0, text.size());
  const bool between_lines = length > 0 && text[length - 1] == '\n';
  RC_ASSERT(parse_page_trace(std::string_view(text).substr(0, length)).has_value() ==
            between_lines);
}

}  // namespace
}  // namespace thaw
