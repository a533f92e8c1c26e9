// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"

#include <gtest/gtest.h>

namespace thaw {
namespace {

TEST(Name, AcceptsWhatIsSafeEverywhere) {
  for (const char* good : {"a", "py3.11_json:v2@eu+1-x", "_", "@a", "0"}) {
    EXPECT_TRUE(is_name(good)) << good;
  }
  EXPECT_TRUE(is_name(std::string(kNameBytesMax, 'n')));
}

TEST(Name, RefusesTheRest) {
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"),
        std::string("a/b"), std::string("a b"), std::string("a\n"), std::string("a\0b", 3),
        std::string("\xff"), std::string("\xc3\xa4"), std::string(kNameBytesMax + 1, 'n'),
        std::string(4096, 'n')}) {
    EXPECT_FALSE(is_name(bad)) << quote(bad);
  }
}

TEST(Name, QuotingEscapesAndCuts) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(quote("\x1b[2J\n\xff"), "\"\\x1b[2J\\x0a\\xff\"");
  EXPECT_EQ(quote(std::string(64, 'n')), "\"" + std::string(64, 'n') + "\"");
  EXPECT_EQ(quote(std::string(4096, 'n')), "\"" + std::string(64, 'n') + "\"...");
}

}  // namespace
}  // namespace thaw
