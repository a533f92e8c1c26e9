// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/report/figures.h"
#include "thaw/report/report_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<double> nine_of(double ms) { return std::vector<double>(9, ms); }

/// The point of a row, by its labels.
const FigurePoint* find_point(const FigurePanel& panel, const std::string& heading,
                              const std::string& label) {
  std::string under;
  for (size_t row = 0; row < panel.rows.size(); ++row) {
    if (panel.rows[row].heading) under = panel.rows[row].label;
    if (panel.rows[row].heading || under != heading || panel.rows[row].label != label) continue;
    for (const FigureSeries& series : panel.series) {
      for (const FigurePoint& point : series.points) {
        if (point.y == static_cast<double>(row)) return &point;
      }
    }
  }
  return nullptr;
}

MadeResults study_and_hot() {
  MadeResults made;
  for (const char* function : {"json", "aes"}) {
    const double scale = std::string(function) == "json" ? 1 : 4;
    made.add({{"function", function}}, nine_of(10));
    made.add({{"function", function}, {"storage", "chunked_encrypted"}}, nine_of(40 * scale));
    made.add({{"function", function}, {"storage", "chunked_encrypted"}, {"technique", "hot"}},
             nine_of(5));
  }
  return made;
}

TEST(FigureOverhead, IsTheGeometricMeanOverFunctionsAndEachFunctionsOwn) {
  const MadeResults made = study_and_hot();
  const Figure figure = overhead_by_storage(CountedResults(made.results));
  ASSERT_EQ(figure.needs, "");
  ASSERT_EQ(figure.panels.size(), 3U);
  EXPECT_EQ(figure.panels[0].name, kAllFunctions);
  const FigurePoint* const mean = find_point(figure.panels[0], "chunked_encrypted", "study_reap");
  ASSERT_NE(mean, nullptr);
  EXPECT_NEAR(mean->x, 8, 1e-9);  // of 4 and 16
  const FigurePoint* const aes = find_point(figure.panels[1], "chunked_encrypted", "study_reap");
  ASSERT_NE(aes, nullptr);
  EXPECT_EQ(aes->x, 16);
  EXPECT_EQ(aes->interval->low, 16);
  const FigurePoint* const baseline = find_point(figure.panels[0], "plain", "study_reap");
  ASSERT_NE(baseline, nullptr);
  EXPECT_EQ(baseline->x, 1);
  EXPECT_FALSE(baseline->interval.has_value());
  EXPECT_EQ(figure.panels[0].x.line_at, 1);
  EXPECT_TRUE(figure.panels[0].x.logarithmic);
}

TEST(FigureOverhead, SaysTheExtremesWithTheirIntervals) {
  const MadeResults made = study_and_hot();
  const std::string sentence = overhead_by_storage(CountedResults(made.results)).sentence;
  EXPECT_THAT(sentence, HasSubstr("study_reap over chunked_encrypted, 8 times (95 %: 8 to 8)"));
  EXPECT_THAT(sentence, HasSubstr("hot over chunked_encrypted, 0.5 times (95 %: 0.5 to 0.5), "
                                  "faster than plain REAP"));
  EXPECT_THAT(sentence, HasSubstr("Geometric mean over 2 functions."));
  EXPECT_THAT(sentence, Not(HasSubstr("hint")));
}

TEST(FigureOverhead, OneRepetitionTellsNothing) {
  MadeResults made;
  made.add({}, {10});
  made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}}, {5});
  const Figure figure = overhead_by_storage(CountedResults(made.results));
  EXPECT_THAT(figure.sentence, HasSubstr("0.5 times (one repetition)"));
  EXPECT_THAT(figure.sentence, HasSubstr("one repetition cannot tell it from plain REAP"));
  EXPECT_THAT(figure.sentence, HasSubstr("One repetition: an example"));
  EXPECT_FALSE(find_point(figure.panels[0], "chunked_encrypted", "hot")->interval.has_value());
}

TEST(FigureOverhead, NeedsPlainReap) {
  MadeResults made;
  made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}}, {5});
  EXPECT_THAT(overhead_by_storage(CountedResults(made.results)).needs,
              HasSubstr("storage=plain technique=study_reap"));
  MadeResults alone;
  alone.add({}, {5});
  EXPECT_NE(overhead_by_storage(CountedResults(alone.results)).needs, "");
}

TEST(FigureOverhead, ARowOfFewerFunctionsIsMarked) {
  MadeResults made = study_and_hot();
  made.add({{"function", "json"}, {"storage", "chunked_encrypted"}, {"technique", "chunks"}},
           nine_of(10));
  const Figure figure = overhead_by_storage(CountedResults(made.results));
  EXPECT_NE(find_point(figure.panels[0], "chunked_encrypted", "chunks (1/2)"), nullptr);
  EXPECT_THAT(figure.sentence, HasSubstr("1 to 2 functions, not the same in all rows"));
  EXPECT_THAT(figure.notes[1], HasSubstr("fraction"));
}

// What differs in one more axis is another thing, and never averaged in.
TEST(FigureOverhead, ComparesLikeWithLike) {
  MadeResults made = study_and_hot();
  const auto add = [&](const char* axis, const char* value) {
    made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}, {axis, value}},
             nine_of(1000));
  };
  add("tier", "zone");
  add("tier", "empty_fleet");
  add("without", "layout");
  add("snapshot", "diff");
  add("frontend", "mount");
  add("driver", "qemu");
  add("chunk_bytes", "65536");
  const CountedResults counted(made.results);
  const Figure figure = overhead_by_storage(counted);
  EXPECT_EQ(find_point(figure.panels[0], "chunked_encrypted", "hot")->x, 0.5);
  const Figure tiers = overhead_by_tier(counted);
  EXPECT_EQ(find_point(tiers.panels[2], "tier zone", "hot")->x, 100);
  EXPECT_EQ(find_point(tiers.panels[2], "tier empty_fleet", "hot")->x, 100);
  EXPECT_THAT(tiers.sentence, HasSubstr("tier local: hot, 0.5 times"));
  EXPECT_THAT(overhead_of_real_guests(counted).needs, HasSubstr("driver=qemu"));
}

TEST(FigureOverhead, RealGuestsHaveTheirOwnBaseline) {
  MadeResults made = study_and_hot();
  made.add({{"driver", "qemu"}}, nine_of(100));
  made.add({{"driver", "qemu"}, {"storage", "chunked_encrypted"}, {"technique", "hot"}},
           nine_of(300));
  const Figure figure = overhead_of_real_guests(CountedResults(made.results));
  EXPECT_EQ(find_point(figure.panels.back(), "chunked_encrypted", "hot")->x, 3);
  EXPECT_THAT(figure.sentence, HasSubstr("3 times (95 %: 3 to 3), slower than plain REAP"));
  // One VMM's guests are not another's.
  EXPECT_THAT(overhead_of_firecracker_guests(CountedResults(made.results)).needs,
              HasSubstr("driver=firecracker"));
}

TEST(FigureOverhead, AnotherInputHasItsOwnBaseline) {
  MadeResults made = study_and_hot();
  EXPECT_NE(overhead_by_input(CountedResults(made.results)).needs, "");
  made.add({{"input", "other"}}, nine_of(20));
  made.add({{"input", "other"}, {"storage", "chunked_encrypted"}, {"technique", "hot"}},
           nine_of(30));
  const Figure figure = overhead_by_input(CountedResults(made.results));
  EXPECT_EQ(find_point(figure.panels.back(), "input other", "hot")->x, 1.5);
  EXPECT_EQ(find_point(figure.panels.back(), "input same", "hot")->x, 0.5);
}

TEST(FigureOverhead, TheTableHasEveryFunctionAndTheMean) {
  const MadeResults made = study_and_hot();
  const FigureTable table = overhead_by_storage(CountedResults(made.results)).table;
  EXPECT_EQ(table.rows.size(), 9U);
  for (const auto& row : table.rows) EXPECT_EQ(row.size(), table.columns.size());
}

}  // namespace
}  // namespace thaw
