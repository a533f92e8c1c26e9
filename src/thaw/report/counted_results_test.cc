// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/counted_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/report/report_test.h"

namespace thaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(CountedResults, WarmUpIsCountedApart) {
  MadeResults made;
  made.add({}, {100}).warm_up = true;
  made.add({}, {1, 2});
  const CountedResults counted(made.results);
  EXPECT_EQ(counted.warm_up(), 1U);
  EXPECT_EQ(counted.measurements(), 2U);
  ASSERT_EQ(counted.cells().size(), 1U);
  EXPECT_THAT(counted.cells()[0].resume_ms(), ElementsAre(1, 2));
}

// Its clones share a round's luck: they are one value.
TEST(CountedResults, ARoundIsTheMedianOfItsClones) {
  MadeResults made;
  made.add({{"parallel", "3"}}, {1}).resume_ms = {5, 1, 100};
  EXPECT_THAT(CountedResults(made.results).cells()[0].resume_ms(), ElementsAre(5));
}

// A matrix may name the chunk sizes of all its storages; a plain file has none.
TEST(CountedResults, AFileIsTheSameCellWhateverItsChunkSize) {
  MadeResults made;
  made.add({{"chunk_bytes", "16384"}}, {1});
  const CountedResults counted(made.results);
  EXPECT_NE(counted.baseline_of(cell_of({{"storage", "chunked"}})), nullptr);
  EXPECT_TRUE(counted.values_of("chunk_bytes").empty());
}

TEST(CountedResults, TheBaselineHasTheCellsFunctionInputParallelAndDriver) {
  MadeResults made;
  made.add({}, {1});
  const CountedResults counted(made.results);
  const auto has_baseline = [&](AxisWords axes) {
    return counted.baseline_of(cell_of(axes)) != nullptr;
  };
  EXPECT_TRUE(has_baseline({{"storage", "chunked_encrypted"}, {"technique", "hot"}}));
  EXPECT_TRUE(has_baseline({{"tier", "origin"}, {"snapshot", "diff"}, {"frontend", "mount"}}));
  EXPECT_FALSE(has_baseline({{"function", "aes"}}));
  EXPECT_FALSE(has_baseline({{"input", "other"}}));
  EXPECT_FALSE(has_baseline({{"parallel", "8"}}));
  EXPECT_FALSE(has_baseline({{"driver", "qemu"}}));
}

TEST(Selection, HoldsAllOtherAxesAtTheirDefaults) {
  MadeResults made;
  const auto add = [&](const char* axis, const char* value) {
    made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}, {axis, value}}, {1});
  };
  add("tier", "local");
  for (const auto& [axis, value] : {std::pair("tier", "origin"),
                                    {"without", "layout"},
                                    {"frontend", "uffd"},
                                    {"snapshot", "diff"},
                                    {"parallel", "8"},
                                    {"input", "other"},
                                    {"driver", "qemu"},
                                    {"chunk_bytes", "65536"}}) {
    add(axis, value);
  }
  const CountedResults counted(made.results);
  const Selection usual = select_cells(counted, {"storage", "technique"});
  ASSERT_EQ(usual.groups.size(), 1U);
  EXPECT_EQ(usual.groups.begin()->first.technique, Technique::kHot);
  // That of the defaults, and the one with frontend=uffd, which is the default.
  EXPECT_EQ(usual.groups.begin()->second[0]->rounds.size(), 2U);
  EXPECT_THAT(usual.note, HasSubstr("tier=local"));
  EXPECT_THAT(usual.note, HasSubstr("without=nothing"));
  // No cell differs there: nothing to say of it.
  EXPECT_THAT(usual.note, Not(HasSubstr("frontend")));
  EXPECT_EQ(select_cells(counted, {"storage", "technique", "tier"}).groups.size(), 2U);
  EXPECT_EQ(select_cells(counted, {"storage", "technique"}, {{"driver", "qemu"}}).groups.size(),
            1U);
}

TEST(Selection, TakesWhatThereIsWhereNoCellHasTheDefault) {
  MadeResults made;
  made.add({{"storage", "chunked"}, {"tier", "origin"}, {"chunk_bytes", "65536"}}, {1});
  made.add({}, {1});
  const CountedResults counted(made.results);
  const Selection selection = select_cells(counted, {"storage", "technique"});
  EXPECT_EQ(selection.groups.size(), 2U);
}

TEST(Selection, PutsFunctionsBesideEachOther) {
  MadeResults made;
  for (const char* function : {"json", "aes"}) made.add({{"function", function}}, {1});
  const CountedResults counted(made.results);
  const Selection selection = select_cells(counted, {"technique"});
  ASSERT_EQ(selection.groups.size(), 1U);
  EXPECT_EQ(selection.groups.begin()->second.size(), 2U);
  EXPECT_THAT(selection.functions(), ElementsAre("aes", "json"));
}

// A line whose ends are of different functions would rise or fall for nothing.
TEST(Selection, ALineKeepsTheFunctionsThatAllOfItHas) {
  MadeResults made;
  for (const char* parallel : {"1", "8"}) made.add({{"parallel", parallel}}, {1});
  made.add({{"function", "aes"}}, {1});
  made.add({{"technique", "present"}}, {1});
  const CountedResults counted(made.results);
  Selection selection = select_cells(counted, {"technique", "parallel"});
  keep_lines(selection, "parallel");
  EXPECT_EQ(selection.groups.size(), 2U);
  EXPECT_THAT(selection.functions(), ElementsAre("json"));
}

}  // namespace
}  // namespace thaw
