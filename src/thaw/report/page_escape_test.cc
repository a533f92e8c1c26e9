// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/page_escape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/report/html_page.h"
#include "thaw/report/report_test.h"

namespace thaw {
namespace {

constexpr char kHostile[] = "</script><script>alert(1)</script><!--\"'&<b>";

TEST(PageEscape, HtmlHasNoMarkupOfOthers) {
  EXPECT_EQ(escape_html("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
}

TEST(PageEscape, JsonEndsNoScript) {
  const std::string escaped = escape_json(R"({"a":"</script><!--&"})");
  EXPECT_EQ(escaped, R"({"a":"\u003c/script\u003e\u003c!--\u0026"})");
}

TEST(PageEscape, AProgramEndsNoScript) {
  EXPECT_EQ(escape_script("a='</SCRIPT>'"), "a='<\\/SCRIPT>'");
  EXPECT_EQ(escape_script("'<!--'+'<script'"), "'<\\!--'+'<\\x73cript'");
  EXPECT_EQ(escape_script("a < b && c"), "a < b && c");
}

// Whatever the results call themselves, the page has the elements that we wrote and no others.
TEST(PageEscape, APageOfHostileWordsHasOurElementsOnly) {
  MadeResults made;
  made.add({}, {1, 2});
  ResultsHeader header;
  header.about = header.scenario = header.cpu = header.kernel = header.commit = kHostile;
  header.versions = {kHostile};
  Figure figure{.id = "f", .title = kHostile, .sentence = kHostile, .notes = {kHostile}};
  figure.panels.push_back({.name = kHostile,
                           .rows = {{kHostile, false}},
                           .series = {{kHostile, {kHostile}, {{1, 0, Interval{1, 2}, kHostile}}}}});
  figure.table = {{{kHostile, kHostile}}, {{TableValue(kHostile)}}};
  Figure missing{.id = "m", .title = kHostile, .needs = kHostile};
  const std::string page =
      html_page(header, CountedResults(made.results), {figure, missing}, {"", kHostile, "lib()"});
  const auto count = [&](std::string_view text) {
    size_t found = 0;
    for (size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1))
      ++found;
    return found;
  };
  EXPECT_EQ(count("</script"), 3U);  // the library, the data and our own
  EXPECT_EQ(count("<script"), 3U);
  EXPECT_EQ(count("alert(1)</script"), 0U);
  EXPECT_EQ(count("<!--"), 0U);
  EXPECT_EQ(count("<b>"), 1U);  // of what is left out
}

TEST(PageEscape, ThePageSaysWhatIsLeftOut) {
  MadeResults made;
  made.add({}, {1, 2});
  const std::string page = html_page({}, CountedResults(made.results),
                                     {{.id = "m", .title = "Scaling", .needs = "parallel=8"}}, {});
  EXPECT_THAT(page, testing::HasSubstr("<b>Scaling</b> needs parallel=8."));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("<canvas")));
}

}  // namespace
}  // namespace thaw
