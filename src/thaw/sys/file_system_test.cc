// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/file_system.h"

#include <gtest/gtest.h>

#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

TEST(FileSystemTest, ADirectoryThatIsNotThereYetIsThatOfItsParent) {
  const TempDir dir;
  EXPECT_EQ(nearest_directory(dir.file("a/b/../c")), dir.path());
  EXPECT_EQ(nearest_directory(dir.path()), dir.path());
  EXPECT_EQ(nearest_directory("/nonexistent/x"), "/");
  EXPECT_NE(file_system_of(dir.path()), "");
  EXPECT_EQ(file_system_of("/proc"), "0x9fa0");
  EXPECT_EQ(file_system_of("/nonexistent"), "");
  EXPECT_FALSE(free_bytes("/nonexistent"));
}

}  // namespace
}  // namespace thaw
