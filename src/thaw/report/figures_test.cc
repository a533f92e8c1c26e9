// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "thaw/replay/replay_vmm_options.h"
#include "thaw/report/report_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;

std::vector<double> nine_of(double ms) { return std::vector<double>(9, ms); }

const FigureSeries* find_series(const FigurePanel& panel, const std::string& name) {
  const auto found = std::ranges::find(panel.series, name, &FigureSeries::name);
  return found == panel.series.end() ? nullptr : &*found;
}

/// The value of the first row, in the column with this name.
double in_table(const FigureTable& table, const std::string& column, size_t row = 0) {
  const auto found = std::ranges::find(table.columns, column, &TableColumn::name);
  CHECK(found != table.columns.end());
  return std::get<double>(table.rows[row][static_cast<size_t>(found - table.columns.begin())]);
}

Measurement& add_hot(MadeResults& made) {
  return made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}}, {5});
}

TEST(FigureStages, ThawsFetchHasItsVerifyingTakenOffAndTheStudysHasNot) {
  MadeResults made;
  for (const char* technique : {"study_reap", "hot"}) {
    Measurement& each =
        made.add({{"storage", "chunked_encrypted"}, {"technique", technique}}, {20});
    each.fetch_ns = 10'000'000;
    each.verify_ns = 4'000'000;
    each.decrypt_ns = 2'000'000;
    each.install_ns = 3'000'000;
    each.touches = 1000;
    each.touch_mean_ns = 5000;
  }
  const Figure figure = time_by_stage(CountedResults(made.results));
  ASSERT_EQ(figure.panels.size(), 1U);
  const FigurePanel& panel = figure.panels[0];
  // Rows: the heading, study_reap, hot.
  EXPECT_EQ(find_series(panel, "fetch")->points[0].x, 10);
  EXPECT_EQ(find_series(panel, "fetch")->points[1].x, 6);
  EXPECT_EQ(find_series(panel, "verify")->points[1].x, 4);
  EXPECT_EQ(find_series(panel, "guest waits")->points[1].x, 5);
  EXPECT_EQ(find_series(panel, "resume")->points[1].x, 20);
  EXPECT_THAT(figure.notes[0], HasSubstr("overlap"));
  EXPECT_THAT(figure.notes[0], HasSubstr("may exceed"));
}

TEST(FigureStages, VerifyingThatTookLongerThanFetchingLeavesNothing) {
  MadeResults made;
  Measurement& each = add_hot(made);
  each.verify_ns = 4'000'000;
  const Figure figure = time_by_stage(CountedResults(made.results));
  EXPECT_EQ(find_series(figure.panels[0], "fetch")->points[0].x, 0);
  EXPECT_THAT(figure.sentence, HasSubstr("works longest on verify, 4 ms (one repetition)"));
}

TEST(FigureStages, NeedsThemMeasured) {
  MadeResults made;
  add_hot(made);
  EXPECT_NE(time_by_stage(CountedResults(made.results)).needs, "");
}

TEST(FigureBytes, EachTierAndWhatTheGuestTouched) {
  MadeResults made;
  Measurement& each = add_hot(made);
  each.memory_bytes = 1 << 20;
  each.local_bytes = 2 << 20;
  each.zone_bytes = 3 << 20;
  each.origin_bytes = 4 << 20;
  each.touches = 512;  // 2 MiB
  const Figure figure = bytes_by_tier(CountedResults(made.results));
  const FigurePanel& panel = figure.panels[0];
  EXPECT_EQ(find_series(panel, "memory")->points[0].x, 1);
  EXPECT_EQ(find_series(panel, "local disk")->points[0].x, 2);
  EXPECT_EQ(find_series(panel, "zone")->points[0].x, 3);
  EXPECT_EQ(find_series(panel, "origin")->points[0].x, 4);
  EXPECT_EQ(find_series(panel, "touched by the guest")->points[0].x, 2);
  EXPECT_EQ(in_table(figure.table, "read over touched"), 5);
  EXPECT_EQ(panel.rows[0].label, "chunked_encrypted, tier local");
}

TEST(FigureAmplification, RisesWithTheChunks) {
  MadeResults made;
  const auto add = [&](const char* chunk_bytes, uint64_t read) {
    for (const double ms : nine_of(5)) {
      Measurement& each = made.add({{"storage", "chunked_encrypted"},
                                    {"technique", "study_reap"},
                                    {"chunk_bytes", chunk_bytes}},
                                   {ms});
      each.touches = 256;
      each.local_bytes = read;
    }
  };
  add("65536", 2 << 20);
  EXPECT_THAT(amplification_by_chunk_size(CountedResults(made.results)).needs,
              HasSubstr("two values of chunk_bytes"));
  add("524288", 12 << 20);
  const Figure figure = amplification_by_chunk_size(CountedResults(made.results));
  const auto& points = find_series(figure.panels[0], "study_reap")->points;
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].x, 64);
  EXPECT_EQ(points[0].y, 2);
  EXPECT_EQ(points[1].x, 512);
  EXPECT_EQ(points[1].y, 12);
  EXPECT_THAT(figure.sentence,
              HasSubstr("study_reap goes from 2 times (95 %: 2 to 2) with chunks of 64 KiB to 12 "
                        "times (95 %: 12 to 12) with 512 KiB"));
  EXPECT_THAT(overhead_by_chunk_size(CountedResults(made.results)).needs, HasSubstr("plain"));
}

TEST(FigureChunkSize, OverheadOfEachSize) {
  MadeResults made;
  made.add({}, nine_of(10));
  for (const auto& [bytes, ms] : {std::pair("16384", 20.0), {"2097152", 80.0}}) {
    made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}, {"chunk_bytes", bytes}},
             nine_of(ms));
  }
  const Figure figure = overhead_by_chunk_size(CountedResults(made.results));
  ASSERT_EQ(figure.needs, "");
  EXPECT_THAT(figure.sentence, HasSubstr("hot goes from 2 times"));
  EXPECT_THAT(figure.sentence, HasSubstr("8 times (95 %: 8 to 8) with 2,048 KiB"));
}

TEST(FigureCpu, IsOfOneResumeAndOfPageServersOnly) {
  MadeResults made;
  made.add({{"technique", "present"}}, {1}).cpu_ms = 5;
  made.add({}, {10}).cpu_ms = 8;
  add_hot(made).cpu_ms = 12;
  const Figure figure = cpu_by_technique(CountedResults(made.results));
  EXPECT_EQ(find_series(figure.panels[0], "present"), nullptr);
  EXPECT_EQ(find_series(figure.panels[0], "hot")->points[0].x, 12);
  EXPECT_THAT(figure.sentence, HasSubstr("to compare with, by study_reap over plain, 8 ms"));
  MadeResults kernels;
  kernels.add({{"technique", "present"}}, {1});
  EXPECT_NE(cpu_by_technique(CountedResults(kernels.results)).needs, "");
}

TEST(FigureMemory, TheShareIsWithoutWhatIsItsOwn) {
  MadeResults made;
  Measurement& each = made.add({{"parallel", "3"}}, {5});
  each.resume_ms = {5, 5, 5};
  each.private_mib = {2, 4, 3};
  each.share_mib = {5, 5, 5};
  made.add({{"technique", "present"}}, {5}).private_mib = {256};
  const Figure figure = memory_by_clone(CountedResults(made.results));
  const FigurePanel& panel = figure.panels[0];
  EXPECT_EQ(panel.series[0].points.size(), 1U);  // present would hide the rest
  EXPECT_EQ(panel.series[0].points[0].x, 3);
  EXPECT_EQ(panel.series[1].points[0].x, 2);
  EXPECT_EQ(panel.rows[0].label, "plain, 3 at once");
  EXPECT_EQ(in_table(figure.table, "together"), 5);
}

TEST(FigureScaling, GrowsFromTheFewestToTheMost) {
  MadeResults made;
  made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}}, nine_of(10));
  EXPECT_NE(time_by_parallel(CountedResults(made.results)).needs, "");
  for (int round = 0; round < 9; ++round) {
    made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}, {"parallel", "2"}}, {1})
        .resume_ms = {15, 25};
  }
  const Figure figure = time_by_parallel(CountedResults(made.results));
  ASSERT_EQ(figure.needs, "");
  const auto& points = find_series(figure.panels[0], "hot")->points;
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[1].x, 2);
  EXPECT_EQ(points[1].y, 20);
  EXPECT_THAT(figure.sentence,
              HasSubstr("hot over chunked_encrypted, 2 instead of 1, 2 times (95 %: 2 to 2)"));
  EXPECT_EQ(in_table(figure.table, "slowest", 1), 25);
  EXPECT_EQ(in_table(figure.table, "rate", 1), 80);  // two in 25 ms
}

TEST(FigureScaling, DifferentSnapshotsAreALineOfTheirOwn) {
  MadeResults made;
  for (const char* parallel : {"2", "8"}) {
    for (const char* clones : {"same", "different"}) {
      made.add({{"storage", "chunked_encrypted"},
                {"technique", "hot"},
                {"parallel", parallel},
                {"clones", clones}},
               nine_of(std::string(clones) == "same" ? 10 : 30));
    }
  }
  const Figure figure = time_by_parallel(CountedResults(made.results));
  ASSERT_EQ(figure.needs, "");
  const FigureSeries* const same = find_series(figure.panels[0], "hot");
  const FigureSeries* const different = find_series(figure.panels[0], "hot, different snapshots");
  ASSERT_EQ(different->points.size(), 2U);
  EXPECT_EQ(different->points[0].y, 30);
  EXPECT_EQ(same->points[0].y, 10);
  EXPECT_NE(same->look.dash, different->look.dash);
  EXPECT_THAT(figure.sentence, HasSubstr("different snapshots, 8 instead of 2"));
}

TEST(FigureVariants, EachIsComparedWithItsTwin) {
  MadeResults made;
  const auto add = [&](AxisWords more, double ms) {
    MadeResults one;
    one.add(more, nine_of(ms));
    for (Measurement& each : one.results.measurements) {
      CHECK(set_axis(each.cell, "storage", "chunked_encrypted"));
      made.results.measurements.push_back(each);
    }
  };
  add({{"technique", "hot"}}, 10);
  EXPECT_NE(ratio_of_variants(CountedResults(made.results)).needs, "");
  add({{"technique", "hot"}, {"without", "layout"}}, 35);
  add({{"technique", "hot"}, {"without", "page_fill"}}, 10);
  add({{"technique", "hot"}, {"snapshot", "diff"}}, 20);
  add({{"technique", "hot"}, {"parallel", "8"}}, 100);
  add({{"technique", "hot"}, {"parallel", "8"}, {"clones", "different"}}, 150);
  add({{"technique", "chunks"}, {"without", "overlap"}}, 99);  // has no twin
  const Figure figure = ratio_of_variants(CountedResults(made.results));
  std::set<std::pair<std::string, double>> found;
  for (const FigurePoint& point : figure.panels[0].series[0].points) {
    found.emplace(figure.panels[0].rows[static_cast<size_t>(point.y)].label, point.x);
  }
  EXPECT_EQ(found, (std::set<std::pair<std::string, double>>{{"without layout", 3.5},
                                                             {"without page_fill", 1},
                                                             {"snapshot=diff", 2},
                                                             {"clones=different", 1.5}}));
  EXPECT_THAT(figure.sentence,
              HasSubstr("without layout, of hot over chunked_encrypted: 3.5 times"));
  EXPECT_THAT(figure.sentence, HasSubstr("of 4 changes, 1 cannot be told from none"));
}

TEST(FigureDistribution, AllFunctionsAreShownAgainstTheirOwnBaseline) {
  MadeResults made;
  for (const auto& [function, ms] : {std::pair("json", 10.0), {"aes", 100.0}}) {
    made.add({{"function", function}}, nine_of(ms));
    made.add({{"function", function}, {"storage", "chunked_encrypted"}, {"technique", "hot"}},
             nine_of(ms / 2));
  }
  const Figure figure = resume_distribution(CountedResults(made.results));
  ASSERT_EQ(figure.panels.size(), 3U);
  const auto& points = find_series(figure.panels[0], "hot over chunked_encrypted")->points;
  EXPECT_EQ(points.front().x, 0.5);
  EXPECT_EQ(points.back().x, 0.5);
  EXPECT_EQ(points.back().y, 100);
  EXPECT_EQ(find_series(figure.panels[1], "hot over chunked_encrypted")->points.back().x, 50);
  EXPECT_THAT(figure.sentence, HasSubstr("with 18 resumes a curve"));
  ASSERT_TRUE(figure.data);
  EXPECT_EQ(figure.data->rows.size(), 36U);  // every resume
}

TEST(FigureDistribution, TouchesAreKnownAtTheirPercents) {
  MadeResults made;
  Measurement& each = add_hot(made);
  EXPECT_THAT(touch_distribution(CountedResults(made.results)).needs, HasSubstr("touch_ns"));
  each.touches = 100;
  for (size_t i = 0; i < kTouchPercents.size(); ++i) each.touch_ns.push_back(1000 * (i + 1));
  each.touch_p50_ns = 11'000;
  each.touch_p99_ns = 21'000;
  const Figure figure = touch_distribution(CountedResults(made.results));
  ASSERT_EQ(figure.needs, "");
  const auto& points = figure.panels[0].series[0].points;
  EXPECT_EQ(points.size(), kTouchPercents.size() + 1);
  EXPECT_EQ(points[1].x, 1);  // us
  EXPECT_NEAR(points[1].y, kTouchPercents[0], 1e-9);
  EXPECT_EQ(points.back().x, static_cast<double>(kTouchPercents.size()));
  EXPECT_THAT(figure.sentence, HasSubstr("11 us (one repetition) and 21 us (one repetition)"));
}

// A figure is whole, or says what it needs.
TEST(Figures, OfAnythingThereIsAreWholeOrNameTheirNeeds) {
  MadeResults nothing_else;
  nothing_else.add({{"technique", "mapping"}}, {1, 2});
  MadeResults two;
  two.add({}, {1, 2});
  add_hot(two);
  for (const MadeResults* made : {&nothing_else, &two}) {
    std::set<std::string> ids;
    const std::vector<Figure> figures = make_figures(CountedResults(made->results));
    EXPECT_EQ(figures.size(), 15U);
    for (const Figure& figure : figures) {
      EXPECT_TRUE(ids.insert(figure.id).second) << figure.id;
      EXPECT_NE(figure.title, "");
      if (!figure.needs.empty()) {
        EXPECT_TRUE(figure.panels.empty()) << figure.id;
        continue;
      }
      EXPECT_FALSE(figure.panels.empty()) << figure.id;
      EXPECT_FALSE(figure.table.rows.empty()) << figure.id;
      EXPECT_TRUE(figure.sentence.ends_with(".")) << figure.sentence;
      for (const auto& row : figure.table.rows) {
        EXPECT_EQ(row.size(), figure.table.columns.size()) << figure.id;
      }
    }
  }
}

}  // namespace
}  // namespace thaw
