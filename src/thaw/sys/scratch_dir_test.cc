// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/scratch_dir.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

size_t entries_in(const std::string& directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST(ScratchDirTest, GoesAwayWithItsOwnerAndAllThatIsInIt) {
  const TempDir parent;
  {
    const auto scratch = *ScratchDir::make(parent.path());
    ASSERT_TRUE(replace_file(scratch->file("f"), as_bytes("x"), 0600));
    EXPECT_EQ(entries_in(parent.path()), 1U);
  }
  EXPECT_EQ(entries_in(parent.path()), 0U);
}

TEST(ScratchDirTest, WhatAKilledOwnerLeftGoesAndALivingOnesStays) {
  const TempDir parent;
  ASSERT_TRUE(make_directories(parent.file("others")));
  const auto living = *ScratchDir::make(parent.path());
  const pid_t child = ::fork();
  if (child == 0) {
    const auto left = ScratchDir::make(parent.path());
    ::_exit(left ? 0 : 1);  // as a kill: no destructor
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(entries_in(parent.path()), 3U);
  const auto next = *ScratchDir::make(parent.path());
  EXPECT_EQ(entries_in(parent.path()), 3U);
  EXPECT_TRUE(std::filesystem::exists(living->path()));
  EXPECT_TRUE(std::filesystem::exists(next->path()));
  EXPECT_TRUE(std::filesystem::exists(parent.file("others")));
}

TEST(ScratchDirTest, AParentThatIsNotThereIsNamed) {
  const auto none = ScratchDir::make("/nonexistent");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("/nonexistent"), std::string::npos);
}

}  // namespace
}  // namespace thaw
