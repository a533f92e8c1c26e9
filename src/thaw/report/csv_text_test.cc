// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/csv_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace thaw {
namespace {

TEST(CsvText, QuotesWhatHasToBe) {
  EXPECT_EQ(csv_field("plain words"), "plain words");
  EXPECT_EQ(csv_field(""), "");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"a\""), "\"say \"\"a\"\"\"");
  EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_field("a\r"), "\"a\r\"");
}

TEST(CsvText, NamesHaveTheirUnits) {
  EXPECT_EQ(csv_name({"over plain REAP", "ratio"}), "over_plain_reap_ratio");
  EXPECT_EQ(csv_name({"resume low 95 %", "ms"}), "resume_low_95_percent_ms");
  EXPECT_EQ(csv_name({"function", ""}), "function");
  EXPECT_EQ(csv_name({"rate", "resumes/s"}), "rate_resumes_s");
}

TEST(CsvText, ATable) {
  const FigureTable table{{{"function", ""}, {"resume", "ms"}, {"low", "ms"}},
                          {{TableValue("a,b"), TableValue(1234.5678901), TableValue()},
                           {TableValue("c"), TableValue(0.1), TableValue(3.0)}}};
  EXPECT_EQ(csv_text(table), "function,resume_ms,low_ms\r\n\"a,b\",1234.5678901,\r\nc,0.1,3\r\n");
}

}  // namespace
}  // namespace thaw
