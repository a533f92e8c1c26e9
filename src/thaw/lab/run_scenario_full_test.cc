// SPDX-License-Identifier: Apache-2.0
//
// A disk that is full in the middle of a run, on a small tmpfs: what was measured stays, the error
// says what to do, and the run goes on when there is room.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/lab/results_file.h"
#include "thaw/lab/run_scenario.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/file_system.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPagesOfMemory = 1024;

class RunScenarioFullTest : public testing::Test {
 protected:
  void SetUp() override {
    // In a mount namespace of our own, so that nothing stays mounted whatever happens.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "SKIP: a mount namespace is not permitted: " << std::strerror(errno);
    }
    for (const char* name : {"traces", "disk", "memory"}) {
      ASSERT_TRUE(make_directories(dir_.file(name)));
    }
    PageTrace trace{kPagesOfMemory, {}};
    for (uint64_t i = 0; i < 50; ++i) trace.events.push_back({i * 7 + 100, i % 3 == 0, 0});
    const std::string name = dir_.file("traces/f");
    ASSERT_TRUE(write_page_trace(name + ".recorded.trace", trace));
    ASSERT_TRUE(write_page_trace(name + ".trace", trace));
    const PageShape shape{kPagesOfMemory, {{64, 800}}};
    ASSERT_TRUE(replace_file(name + ".shape", as_bytes(format_page_shape(shape)), 0600));
  }
  void TearDown() override {
    for (const std::string& each : mounted_) {
      EXPECT_EQ(::umount2(each.c_str(), 0), 0) << std::strerror(errno);
    }
  }
  /// False where mounting is not permitted.
  bool mount_tmpfs(const std::string& name, const std::string& size) {
    if (::mount("tmpfs", dir_.file(name).c_str(), "tmpfs", 0, ("size=" + size).c_str()) != 0) {
      return false;
    }
    mounted_.push_back(dir_.file(name));
    return true;
  }
  RunOptions options() const {
    RunOptions options;
    options.scenario_path = "s.toml";
    options.output = dir_.file("disk/out");
    options.playground.traces = dir_.file("traces");
    options.playground.memory_parent = dir_.file("memory");
    return options;
  }
  /// Needs no direct I/O, which a tmpfs has from Linux 6.6 on.
  static Scenario scenario(const std::string& more = "") {
    return *parse_scenario(
        "repetitions = 6\nwarm_up = 0\n[[matrix]]\nfunction = [\"f\"]\n"
        "technique = [\"present\", \"mapping_cached\"]\n" +
            more,
        "s.toml");
  }
  /// Takes all the room there is.
  void fill(const std::string& name) const {
    const std::string path = dir_.file(name + "/filler");
    const Fd file = *open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    const Bytes block(kPageBytes);
    while (write_all(file.get(), block, path)) {
    }
  }
  void make_room(const std::string& name) const {
    std::filesystem::remove(dir_.file(name + "/filler"));
  }
  void expect_told(const Result<RunReport>& report) const {
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kExhausted) << report.error().message;
    EXPECT_THAT(
        report.error().message,
        AllOf(HasSubstr("No space left"), HasSubstr(dir_.file("")), HasSubstr("needs at least"),
              HasSubstr("make room"), HasSubstr("what was measured is in " + options().output)));
  }

  const TempDir dir_;
  std::vector<std::string> mounted_;
  Progress progress_;
};

TEST_F(RunScenarioFullTest, ADiskThatFillsUpLosesNoResult) {
  if (!mount_tmpfs("disk", "16m")) GTEST_SKIP() << "SKIP: mounting is not permitted";
  RunOptions filling = options();
  int looks = 0;
  filling.wall_clock = [&] {
    if (++looks == 6) fill("disk");  // before the fifth line, or what of it needs a new page
    return std::chrono::system_clock::now();
  };
  expect_told(run_scenario(scenario(), filling, progress_));
  const auto before = read_results(options().output);
  ASSERT_TRUE(before) << before.error().message;
  const size_t measured = before->measurements.size();
  EXPECT_GE(measured, 4U);
  EXPECT_LT(measured, 12U);
  // Still full: nothing is lost by trying.
  const auto still = run_scenario(scenario(), options(), progress_);
  ASSERT_FALSE(still);
  EXPECT_EQ(still.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(still.error().message, AllOf(HasSubstr("at least"), HasSubstr("free")));
  EXPECT_EQ(read_results(options().output)->measurements.size(), measured);
  make_room("disk");
  const auto after = run_scenario(scenario(), options(), progress_);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->found, measured);
  EXPECT_EQ(after->measured, 12 - measured);
}

TEST_F(RunScenarioFullTest, ScratchThatFillsUpLosesNoResult) {
  // Of each home, when it is first needed: its image on the disk, its store and oracle in memory.
  for (const char* place : {"disk", "memory"}) {
    if (!mount_tmpfs(place, "64m")) GTEST_SKIP() << "SKIP: mounting is not permitted";
    const Scenario two = scenario(
        "[[matrix]]\nfunction = [\"f\"]\nstorage = [\"chunked_encrypted\"]\n"
        "technique = [\"hot\"]\ntier = [\"memory\"]\nchunk_bytes = [16384, 65536]\n");
    std::filesystem::remove_all(options().output);
    RunOptions filling = options();
    int looks = 0;
    filling.wall_clock = [&] {
      // After the header and the first line: some home is still to be made.
      if (++looks == 2) fill(place);
      return std::chrono::system_clock::now();
    };
    // The first line itself may not fit any more.
    expect_told(run_scenario(two, filling, progress_));
    EXPECT_LE(read_results(options().output)->measurements.size(), 3U);
    make_room(place);
    const auto after = run_scenario(two, options(), progress_);
    ASSERT_TRUE(after) << place << ": " << after.error().message;
    EXPECT_EQ(after->found + after->measured, 24U);
    // Nothing is left but the results.
    for (const char* each : {"disk/out", "memory"}) {
      for (const auto& entry : std::filesystem::directory_iterator(dir_.file(each))) {
        EXPECT_EQ(entry.path().filename(), "results.jsonl");
      }
    }
  }
}

TEST_F(RunScenarioFullTest, ADiskThatIsTooSmallIsToldBeforeAnythingIsMade) {
  if (!mount_tmpfs("disk", "1m")) GTEST_SKIP() << "SKIP: mounting is not permitted";
  const auto report = run_scenario(scenario(), options(), progress_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(report.error().message,
              AllOf(HasSubstr("needs at least 3.2 MiB"), HasSubstr(dir_.file("disk")),
                    HasSubstr("1.0 MiB are free"), HasSubstr("--output")));
  EXPECT_FALSE(std::filesystem::exists(options().output));
}

}  // namespace
}  // namespace thaw
