// SPDX-License-Identifier: Apache-2.0
//
// Whole runs of small scenarios over a small made-up function, with real replay VMMs.
#include "thaw/lab/run_scenario.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/lab/compare_results.h"
#include "thaw/lab/results_file.h"
#include "thaw/mount/mountpoint.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/zone/memcached_process.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPagesOfMemory = 2048;

class RunScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_directories(traces()));
    PageTrace recorded{kPagesOfMemory, {}};
    PageTrace measured{kPagesOfMemory, {}};
    PageTrace other{kPagesOfMemory, {}};
    for (uint64_t i = 0; i < 200; ++i) recorded.events.push_back({i * 7 % 1500 + 100, false, 0});
    for (uint64_t i = 0; i < 220; ++i) {
      measured.events.push_back({i * 7 % 1500 + 100, i % 3 == 0, 0});
      other.events.push_back({i * 11 % 1900 + 1, i % 2 == 0, 0});  // some of them zero
    }
    const std::string name = traces() + "/f";
    ASSERT_TRUE(write_page_trace(name + ".recorded.trace", recorded));
    ASSERT_TRUE(write_page_trace(name + ".trace", measured));
    ASSERT_TRUE(write_page_trace(name + ".other.trace", other));
    const PageShape shape{kPagesOfMemory, {{64, 1700}}};
    ASSERT_TRUE(replace_file(name + ".shape", as_bytes(format_page_shape(shape)), 0600));
  }
  std::string traces() const { return dir_.file("traces"); }
  RunOptions options(const std::string& output) const {
    RunOptions options;
    options.scenario_path = "s.toml";
    options.output = dir_.file(output);
    options.playground.traces = traces();
    return options;
  }
  static Scenario scenario(const std::string& matrix) {
    return *parse_scenario(
        "repetitions = 2\nwarm_up = 1\n[[matrix]]\nfunction = [\"f\"]\n" + matrix, "s.toml");
  }

  const TempDir dir_{"/var/tmp"};  // a file system with direct I/O
  Progress progress_;
};

TEST_F(RunScenarioTest, EveryTechniqueOverEveryStorageGivesTheRightPages) {
  const Scenario all = scenario(R"(
    storage = ["plain", "encrypted", "chunked", "chunked_encrypted"]
    technique = ["present", "mapping", "mapping_cached", "study_on_demand", "study_reap",
                 "study_faasnap", "on_demand", "reap", "faasnap", "chunks", "hot"]
    tier = ["memory", "local"]
    chunk_bytes = [65536]
    input = ["same", "other"]
  )");
  const auto report = run_scenario(all, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->measured, 3 * all.cells.size());
  const Results results = *read_results(dir_.file("out"));
  ASSERT_EQ(results.measurements.size(), report->measured);
  std::set<std::string> cells;
  for (const Measurement& each : results.measurements) {
    cells.insert(each.cell.key());
    EXPECT_GE(each.pages_checked, 200U) << each.cell.key();
    ASSERT_EQ(each.resume_ms.size(), 1U);
    EXPECT_GT(each.resume_ms[0], 0);
    EXPECT_EQ(each.warm_up, each.repetition == 0);
  }
  EXPECT_EQ(cells.size(), all.cells.size());
  // Nothing is left but the results.
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(dir_.file("out"))) {
    ++files;
  }
  EXPECT_EQ(files, 1U);
}

TEST_F(RunScenarioTest, TheOriginTheAblationAndSeveralAtOnceRun) {
  const Scenario some = scenario(R"(
    storage = ["chunked_encrypted"]
    technique = ["hot"]
    tier = ["local", "origin"]
    chunk_bytes = [65536]
    parallel = [1, 3]
    without = ["nothing", "layout", "page_verify", "page_fill", "overlap", "placement"]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  const Results results = *read_results(dir_.file("out"));
  for (const Measurement& each : results.measurements) {
    EXPECT_EQ(each.resume_ms.size(), each.cell.parallel);
    EXPECT_GE(each.pages_checked, 200 * each.cell.parallel);
    EXPECT_EQ(each.origin_bytes > 0, each.cell.tier == LabTier::kOrigin) << each.cell.key();
  }
}

TEST_F(RunScenarioTest, DiffsAndDifferentSnapshotsAreRightPageByPage) {
  const Scenario some = scenario(R"(
    storage = ["plain", "encrypted", "chunked_encrypted"]
    technique = ["mapping", "study_on_demand", "study_reap", "study_faasnap", "on_demand", "reap",
                 "faasnap", "chunks", "hot"]
    chunk_bytes = [65536]
    snapshot = ["full", "diff"]
    clones = ["same", "different"]
    parallel = [3]
    input = ["same", "other"]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  const Results results = *read_results(dir_.file("out"));
  size_t diffs = 0, different = 0;
  for (const Measurement& each : results.measurements) {
    diffs += each.cell.snapshot == LabSnapshot::kDiff ? 1 : 0;
    different += each.cell.clones == LabClones::kDifferent ? 1 : 0;
    EXPECT_GE(each.pages_checked, 200 * each.cell.parallel);
    EXPECT_EQ(each.private_mib.size(), each.cell.parallel);
    EXPECT_EQ(each.touch_ns.size(), kTouchPercents.size());
  }
  EXPECT_GT(diffs, 0U);
  EXPECT_GT(different, 0U);
}

TEST_F(RunScenarioTest, ChunksOfEverySizeAreKeptWhereTheyAre) {
  const Scenario some = scenario(R"(
    storage = ["chunked_encrypted"]
    technique = ["chunks", "hot", "reap"]
    tier = ["memory", "local"]
    chunk_bytes = [16384, 2097152, 4194304]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->measured, 3 * 18U);
}

TEST_F(RunScenarioTest, StagesAndBytesAreCountedWhereTheyAre) {
  const Scenario some = scenario(R"(
    storage = ["plain", "chunked_encrypted"]
    technique = ["study_reap", "on_demand", "hot"]
    tier = ["memory", "local", "origin"]
    chunk_bytes = [65536]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  const Results results = *read_results(dir_.file("out"));
  for (const Measurement& each : results.measurements) {
    const Cell& cell = each.cell;
    const std::string key = cell.key();
    EXPECT_GT(each.install_ns, 0U) << key;
    EXPECT_EQ(each.memory_bytes > 0, cell.tier == LabTier::kMemory) << key;
    EXPECT_EQ(each.local_bytes > 0, cell.tier == LabTier::kLocal) << key;
    EXPECT_EQ(each.origin_bytes > 0, cell.tier == LabTier::kOrigin) << key;
    EXPECT_EQ(each.zone_bytes, 0U) << key;
    EXPECT_EQ(each.decrypt_ns > 0, cell.storage == LabStorage::kChunkedEncrypted) << key;
    if (cell.storage == LabStorage::kPlain || cell.tier == LabTier::kMemory) {
      EXPECT_EQ(each.verify_ns, 0U) << key;
    } else {
      EXPECT_GT(each.verify_ns, 0U) << key;
    }
  }
}

TEST_F(RunScenarioTest, AZoneServesAndAnEmptyFleetFillsIt) {
  if (const std::string missing = MemcachedProcess::unavailable(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  const Scenario some = scenario(R"(
    storage = ["chunked_encrypted"]
    technique = ["study_reap", "chunks", "hot"]
    tier = ["zone", "empty_fleet"]
    chunk_bytes = [65536]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  const Results results = *read_results(dir_.file("out"));
  for (const Measurement& each : results.measurements) {
    const std::string key = each.cell.key();
    EXPECT_EQ(each.zone_bytes > 0, each.cell.tier == LabTier::kZone) << key;
    EXPECT_EQ(each.origin_bytes > 0, each.cell.tier == LabTier::kEmptyFleet) << key;
    EXPECT_GE(each.pages_checked, 200U) << key;
  }
}

TEST_F(RunScenarioTest, TheMountServesMappings) {
  if (const Result<void> usable = check_fuse_device(); !usable) {
    GTEST_SKIP() << usable.error().message;
  }
  const Scenario some = scenario(R"(
    storage = ["chunked_encrypted"]
    technique = ["on_demand", "faasnap"]
    tier = ["memory", "local"]
    frontend = ["mount"]
    snapshot = ["full", "diff"]
    parallel = [1, 2]
    chunk_bytes = [65536]
  )");
  const auto report = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(report) << report.error().message;
  const Results results = *read_results(dir_.file("out"));
  EXPECT_EQ(results.measurements.size(), 3 * 16U);
  for (const Measurement& each : results.measurements) {
    EXPECT_GT(each.requests, 0U) << each.cell.key();
    EXPECT_GE(each.pages_checked, 200U) << each.cell.key();
  }
}

TEST_F(RunScenarioTest, AStoppedRunGoesOnAndMeasuresNothingTwice) {
  const Scenario some = scenario("technique = [\"study_reap\", \"present\", \"mapping_cached\"]");
  progress_.cancel = true;
  const auto stopped = run_scenario(some, options("out"), progress_);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  progress_.cancel = false;
  ASSERT_TRUE(run_scenario(some, options("out"), progress_));
  // What a kill would leave: the last four lines missing, and half of another.
  const std::string path = dir_.file("out/results.jsonl");
  std::string text(as_text(*read_file(path, kMiB)));
  for (int i = 0; i < 4; ++i) text.resize(text.rfind('\n', text.size() - 2) + 1);
  ASSERT_TRUE(replace_file(path, as_bytes(text + "{\"cell\":{\"sto"), 0644));
  const auto again = run_scenario(some, options("out"), progress_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->found, 5U);
  EXPECT_EQ(again->measured, 4U);
  std::multiset<std::pair<std::string, uint64_t>> done;
  const Results results = *read_results(dir_.file("out"));
  for (const Measurement& each : results.measurements) {
    done.emplace(each.cell.key(), each.repetition);
  }
  EXPECT_EQ(done.size(), 9U);
  EXPECT_EQ(std::set(done.begin(), done.end()).size(), 9U);
}

// The wall clock goes into the lines and nowhere else.
TEST_F(RunScenarioTest, AClockThatStepsChangesNothing) {
  const Scenario some = scenario("technique = [\"study_reap\", \"present\"]");
  RunOptions stepping = options("out");
  // Twenty years back and forth with each look.
  int looks = 0;
  stepping.wall_clock = [&looks] {
    constexpr auto kYear = std::chrono::hours(24 * 365);
    return std::chrono::system_clock::time_point(kYear * (++looks % 2 == 0 ? 30 : 50));
  };
  ASSERT_TRUE(run_scenario(some, stepping, progress_));
  const std::string path = dir_.file("out/results.jsonl");
  std::string text(as_text(*read_file(path, kMiB)));
  for (int i = 0; i < 2; ++i) text.resize(text.rfind('\n', text.size() - 2) + 1);
  ASSERT_TRUE(replace_file(path, as_bytes(text), 0644));
  const auto again = run_scenario(some, stepping, progress_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->found, 4U);
  EXPECT_EQ(again->measured, 2U);

  const Results results = *read_results(dir_.file("out"));
  int backwards = 0;
  for (size_t i = 1; i < results.measurements.size(); ++i) {
    const Measurement& each = results.measurements[i];
    backwards += each.at < results.measurements[i - 1].at ? 1 : 0;
    EXPECT_GT(each.resume_ms.at(0), 0);
    EXPECT_LT(each.resume_ms.at(0), 1e6);
    EXPECT_LT(each.touch_max_ns, uint64_t{1'000'000'000'000});
  }
  EXPECT_GE(backwards, 2);
  const ResultsComparison same = compare_results(results, results);
  ASSERT_EQ(same.cells.size(), 2U);
  EXPECT_EQ(same.cells[0].samples_a, 2U);
}

TEST_F(RunScenarioTest, ResultsOfAnotherCommitAreNotMixedWithOurs) {
  const Scenario some = scenario("technique = [\"present\"]");
  RunOptions ours = options("out");
  ours.commit = "aa";
  ASSERT_TRUE(run_scenario(some, ours, progress_));
  ours.commit = "bb";
  const auto other = run_scenario(some, ours, progress_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kExists);
  EXPECT_THAT(other.error().message, HasSubstr("commit was aa, is bb"));
  EXPECT_EQ(read_results(dir_.file("out"))->header.commit, "aa");
}

TEST_F(RunScenarioTest, AWrongPageEndsTheRun) {
  PlaygroundOptions where = options("out").playground;
  where.disk_parent = dir_.path();
  const auto playground = *Playground::make(where);
  Cell cell;
  cell.function = "f";
  cell.technique = Technique::kStudyOnDemand;
  ASSERT_TRUE(playground->measure(cell, 1));
  size_t damaged = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("plain-")) continue;
    const Fd file = *open_file(entry.path(), O_WRONLY);
    const std::byte wrong{0x5a};
    for (uint64_t page = 0; page < kPagesOfMemory; ++page) {
      ASSERT_TRUE(write_all_at(file.get(), page * kPageBytes + 9, {&wrong, 1}, entry.path()));
    }
    ++damaged;
  }
  ASSERT_EQ(damaged, 1U);
  const auto wrong = playground->measure(cell, 1);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(wrong.error().message, HasSubstr("expected"));
}

TEST_F(RunScenarioTest, WhatIsMissingIsSaidBeforeAnythingIsMeasured) {
  Scenario some = scenario("");
  some.cells[0].function = "g";
  const auto none = run_scenario(some, options("out"), progress_);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, AllOf(HasSubstr("'g'"), HasSubstr("there are: f")));
  some.cells[0].function = "f";
  some.cells[0].input = LabInput::kOther;
  std::filesystem::remove(traces() + "/f.other.trace");
  const auto no_input = run_scenario(some, options("out2"), progress_);
  ASSERT_FALSE(no_input);
  EXPECT_THAT(no_input.error().message, HasSubstr("another input"));
}

TEST(RoundOrderTest, APermutationFromTheSeedAnotherInEachRound) {
  for (uint64_t round = 0; round < 5; ++round) {
    std::vector<size_t> order = round_order(50, 3, round);
    EXPECT_EQ(order, round_order(50, 3, round));
    EXPECT_NE(order, round_order(50, 3, round + 1));
    EXPECT_NE(order, round_order(50, 4, round));
    std::ranges::sort(order);
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  }
}

}  // namespace
}  // namespace thaw
