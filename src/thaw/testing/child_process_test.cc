// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/child_process.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(RunProgram, GivesTheOutput) {
  EXPECT_EQ(run_program({"printf", "%s", "text"}).value_or("?"), "text");
  const auto failed = run_program({"sh", "-c", "echo because >&2; exit 3"});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("exited with 3: because"), std::string::npos)
      << failed.error().message;
  EXPECT_FALSE(run_program({"sleep", "1000"}, std::chrono::milliseconds(10)));
}

}  // namespace
}  // namespace thaw
