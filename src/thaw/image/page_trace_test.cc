// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/page_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using ::testing::HasSubstr;

TEST(PageTrace, ParsesTheExampleOfItsHeader) {
  const auto trace = parse_page_trace("thaw trace v1 pages=131072\n2051 r\n77 w 1500\n");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->page_count, 131072u);
  ASSERT_EQ(trace->events.size(), 2u);
  EXPECT_EQ(trace->events[0], (TraceEvent{2051, false, 0}));
  EXPECT_EQ(trace->events[1], (TraceEvent{77, true, 1500}));
}

TEST(PageTrace, AnEmptyTraceHasItsHeader) {
  const auto trace = parse_page_trace("thaw trace v1 pages=0\n");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(*trace, PageTrace{});
  EXPECT_EQ(format_page_trace(PageTrace{}), "thaw trace v1 pages=0\n");
}

struct Refusal {
  const char* text;
  const char* message;
};

TEST(PageTrace, RefusesAndNamesTheLine) {
  const Refusal refusals[] = {
      {"", "line 1: the header is missing"},
      {"thaw trace v1 pages=8", "line 1: its end is cut off"},
      {"thaw page trace\n", "line 1: it must be"},
      {"thaw trace v1 pages=4294967297\n", "line 1: the number of pages"},
      {"thaw trace v1 pages=08\n", "line 1: the number of pages"},
      {"thaw trace v1 pages=8\n1 r\n8 r\n", "line 3: page 8 is past the end"},
      {"thaw trace v1 pages=8\n\n", "line 2: it must begin with a page number"},
      {"thaw trace v1 pages=8\n-1 r\n", "line 2: it must begin with a page number"},
      {"thaw trace v1 pages=8\n99999999999999999999 r\n", "line 2: it must begin"},
      {"thaw trace v1 pages=8\n1\n", "line 2: after the page"},
      {"thaw trace v1 pages=8\n1  r\n", "line 2: after the page"},
      {"thaw trace v1 pages=8\n1 x\n", "line 2: after the page"},
      {"thaw trace v1 pages=8\n1 r\r\n", "line 2: after the page"},
      {"thaw trace v1 pages=8\n1 r \n", "line 2: the gap"},
      {"thaw trace v1 pages=8\n1 r 1 2\n", "line 2: the gap"},
      {"thaw trace v1 pages=8\n1 r 3600000000001\n", "line 2: the gap"},
      {"thaw trace v1 pages=8\n1 r\n2 w", "line 3: its end is cut off"},
  };
  for (const Refusal& refusal : refusals) {
    const auto trace = parse_page_trace(refusal.text);
    ASSERT_FALSE(trace) << refusal.text;
    EXPECT_EQ(trace.error().code, ErrorCode::kInvalid) << refusal.text;
    EXPECT_THAT(trace.error().message, HasSubstr(refusal.message)) << refusal.text;
  }
}

TEST(PageTrace, AnotherVersionIsUnsupported) {
  const auto trace = parse_page_trace("thaw trace v2 pages=8\n");
  ASSERT_FALSE(trace);
  EXPECT_EQ(trace.error().code, ErrorCode::kUnsupported);
}

TEST(PageTrace, FilesComeBackAndErrorsNameThem) {
  const TempDir dir;
  const PageTrace trace{16, {{3, true, 0}, {15, false, kTraceGapNsMax}}};
  ASSERT_TRUE(write_page_trace(dir.file("trace"), trace));
  const auto back = read_page_trace(dir.file("trace"));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, trace);
  const auto missing = read_page_trace(dir.file("none"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr(dir.file("none")));
}

TEST(PageTraceDeathTest, TheWriterRefusesWhatTheParserWould) {
  EXPECT_DEATH(format_page_trace({4, {{4, false, 0}}}), "page < trace.page_count");
}

}  // namespace
}  // namespace thaw
