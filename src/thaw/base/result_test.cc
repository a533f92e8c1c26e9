// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "thaw/base/check.h"

namespace thaw {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorCode::kInvalid, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  ASSIGN_OR_RETURN(const int once, half(value));
  TRY(half(once));
  ASSIGN_OR_RETURN(const int twice, half(once));
  return twice;
}

TEST(Result, PropagatesTheFirstError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
}

TEST(Result, ErrnoChoosesTheAction) {
  EXPECT_EQ(errno_error("x", ENOSPC).code, ErrorCode::kExhausted);
  EXPECT_EQ(errno_error("x", ENOENT).code, ErrorCode::kNotFound);
  EXPECT_EQ(errno_error("x", EIO).code, ErrorCode::kUnavailable);
  EXPECT_EQ(errno_error("open /a", ENOENT).message, "open /a: No such file or directory");
}

TEST(Result, ContextStandsInFront) {
  EXPECT_EQ(errno_error("open", EIO).with_context("freeze").message,
            "freeze: open: Input/output error");
}

TEST(CheckDeathTest, ABugAborts) { EXPECT_DEATH(CHECK(1 == 2), "CHECK\\(1 == 2\\) failed"); }

}  // namespace
}  // namespace thaw
