// SPDX-License-Identifier: Apache-2.0
//
// The order of the preflight and that it makes nothing; its parts have tests of their own.
#include "thaw/lab/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/image/page_trace.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/scratch_dir.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class PreflightTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_directories(dir_.file("traces")));
    const PageShape shape{64, {{1, 20}}};
    const PageTrace trace{64, {{2, false, 0}}};
    const std::string name = dir_.file("traces/f");
    ASSERT_TRUE(replace_file(name + ".shape", as_bytes(format_page_shape(shape)), 0600));
    for (const char* ending : {".recorded.trace", ".trace", ".other.trace"}) {
      ASSERT_TRUE(write_page_trace(name + ending, trace));
    }
  }
  Result<SpaceNeeds> check(const std::string& output, const std::string& matrix = "") const {
    const Scenario scenario =
        *parse_scenario("[[matrix]]\nfunction = [\"f\"]\n" + matrix, "s.toml");
    return preflight(scenario, {.output = output, .traces = dir_.file("traces")});
  }
  static std::string told(const Result<SpaceNeeds>& checked, ErrorCode code) {
    EXPECT_FALSE(checked);
    if (checked) return "";
    EXPECT_EQ(checked.error().code, code) << checked.error().message;
    return checked.error().message;
  }

  const TempDir dir_{"/var/tmp"};
};

TEST_F(PreflightTest, NothingIsMade) {
  const auto checked = check(dir_.file("a/b"));
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_GT(checked->result_bytes, 0U);
  EXPECT_FALSE(std::filesystem::exists(dir_.file("a")));
}

TEST_F(PreflightTest, AnOutputThatCannotBeIsTold) {
  ASSERT_TRUE(replace_file(dir_.file("taken"), as_bytes("x"), 0600));
  EXPECT_THAT(told(check(dir_.file("taken")), ErrorCode::kInvalid),
              AllOf(HasSubstr(dir_.file("taken") + " is not a directory"), HasSubstr("--output")));
  EXPECT_THAT(told(check(dir_.file("taken/below")), ErrorCode::kInvalid),
              AllOf(HasSubstr(dir_.file("taken/below")), HasSubstr("is not a directory")));
  // Nobody, not even root, makes files in /proc.
  EXPECT_THAT(told(check("/proc/thaw"), ErrorCode::kDenied),
              AllOf(HasSubstr("cannot write results to /proc/thaw"), HasSubstr("--output")));
}

TEST_F(PreflightTest, MissingTracesAreTold) {
  for (const char* ending : {".other.trace", ".trace", ".recorded.trace"}) {
    std::filesystem::remove(dir_.file(std::string("traces/f") + ending));
    const std::string text =
        told(check(dir_.file("out"), "input = [\"other\"]"), ErrorCode::kNotFound);
    EXPECT_THAT(text, AllOf(HasSubstr("'f'"), HasSubstr("traces"),
                            HasSubstr("thaw lab trace --function f")));
  }
  std::filesystem::remove(dir_.file("traces/f.shape"));
  EXPECT_THAT(told(check(dir_.file("out")), ErrorCode::kNotFound), HasSubstr("there are: none"));
}

TEST_F(PreflightTest, WhatAKilledRunLeftGoesBeforeRoomIsCounted) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto left = ScratchDir::make(dir_.path());
    ::_exit(left ? 0 : 1);  // as a kill: no destructor
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(check(dir_.path()));
  size_t entries = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(dir_.path())) {
    ++entries;
  }
  EXPECT_EQ(entries, 1U);  // the traces
}

}  // namespace
}  // namespace thaw
