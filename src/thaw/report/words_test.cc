// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/words.h"

#include <gtest/gtest.h>

#include <limits>

namespace thaw {
namespace {

TEST(Words, NumbersHaveThreeDigits) {
  EXPECT_EQ(number_words(0), "0");
  EXPECT_EQ(number_words(1), "1");
  EXPECT_EQ(number_words(1.2345), "1.23");
  EXPECT_EQ(number_words(0.0123456), "0.0123");
  EXPECT_EQ(number_words(41.25), "41.2");
  EXPECT_EQ(number_words(999.6), "1,000");
  EXPECT_EQ(number_words(1234567), "1,234,567");
  EXPECT_EQ(number_words(-1234.5), "-1,234");
  EXPECT_EQ(number_words(-123), "-123");
  EXPECT_EQ(number_words(100), "100");
}

TEST(Words, WhatIsNoNumberIsSaid) {
  EXPECT_EQ(number_words(std::numeric_limits<double>::infinity()), "infinite");
  EXPECT_EQ(number_words(std::numeric_limits<double>::quiet_NaN()), "unknown");
  EXPECT_EQ(number_words(1e300).substr(0, 4), "1,00");
  EXPECT_EQ(number_words(1e-300), "0");
}

TEST(Words, AnEstimateHasItsIntervalOrSaysWhyNot) {
  EXPECT_EQ(estimate_words({1.5, Interval{1.25, 2}, 9}, "ms"), "1.5 ms (95 %: 1.25 to 2)");
  EXPECT_EQ(estimate_words({1.5, std::nullopt, 1}, "ms"), "1.5 ms (one repetition)");
}

TEST(Words, Lists) {
  EXPECT_EQ(list_words({}), "");
  EXPECT_EQ(list_words({"a"}), "a");
  EXPECT_EQ(list_words({"a", "b"}), "a and b");
  EXPECT_EQ(list_words({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(clause_words({"a", "b"}), "a; b");
  EXPECT_EQ(count_words(1, "function"), "1 function");
  EXPECT_EQ(count_words(2000, "function"), "2,000 functions");
}

TEST(Words, FewRepetitionsAreAHint) {
  EXPECT_NE(caution_words(1).find("One repetition"), std::string::npos);
  EXPECT_NE(caution_words(5).find("5 repetitions: a hint"), std::string::npos);
  EXPECT_NE(caution_words(kRoundsEnough - 1), "");
  EXPECT_EQ(caution_words(kRoundsEnough), "");
}

TEST(Words, AVerdictNeedsAnIntervalWithoutOne) {
  EXPECT_EQ(verdict_words({0.5, Interval{0.4, 0.9}, 9}, "REAP"), "faster than REAP");
  EXPECT_EQ(verdict_words({2, Interval{1.1, 3}, 9}, "REAP"), "slower than REAP");
  EXPECT_EQ(verdict_words({0.9, Interval{0.7, 1}, 9}, "REAP"), "not to be told apart from REAP");
  EXPECT_EQ(verdict_words({0.5, std::nullopt, 1}, "REAP"),
            "one repetition cannot tell it from REAP");
}

}  // namespace
}  // namespace thaw
