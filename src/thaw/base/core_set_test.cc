// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/core_set.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace thaw {
namespace {

TEST(CoreSet, ReadsWhatUsersWrite) {
  EXPECT_EQ(*CoreSet::parse("2"), CoreSet({2}));
  EXPECT_EQ(*CoreSet::parse("3,2"), CoreSet({2, 3}));
  EXPECT_EQ(*CoreSet::parse("0-1,4-7"), CoreSet({0, 1, 4, 5, 6, 7}));
  EXPECT_EQ(*CoreSet::parse("5-5,5"), CoreSet({5}));
  EXPECT_EQ(*CoreSet::parse("1023"), CoreSet({1023}));
  for (const char* wrong :
       {"", ",", "1,", ",1", "a", "-1", "1-", "3-2", "1024", "0-1024", "1 ,2", "99999999999"}) {
    const Result<CoreSet> set = CoreSet::parse(wrong);
    ASSERT_FALSE(set) << wrong;
    EXPECT_EQ(set.error().code, ErrorCode::kInvalid);
    EXPECT_NE(set.error().message.find("0-1,4"), std::string::npos) << set.error().message;
  }
}

TEST(CoreSet, WritesWhatItReads) {
  EXPECT_EQ(CoreSet().text(), "");
  for (const char* text : {"0", "0-1", "0,2", "0-2,4,6-7"}) {
    EXPECT_EQ(CoreSet::parse(text)->text(), text);
  }
}

TEST(CoreSet, TakesCoresAway) {
  const CoreSet set{0, 1, 2, 5};
  EXPECT_EQ(set.without({1, 5, 9}), CoreSet({0, 2}));
  EXPECT_EQ(set.without({}), set);
  EXPECT_TRUE(set.without(set).empty());
  EXPECT_TRUE(set.contains(5));
  EXPECT_FALSE(set.contains(3));
}

TEST(CoreSet, ConfinesAThread) {
  const CoreSet allowed = CoreSet::allowed();
  ASSERT_FALSE(allowed.empty());
  for (const unsigned core : allowed.cores()) {
    CoreSet seen;
    int ran_on = -1;
    std::thread([&] {
      EXPECT_TRUE(CoreSet{core}.confine_this_thread());
      seen = CoreSet::allowed();
      ran_on = ::sched_getcpu();
    }).join();
    EXPECT_EQ(seen, CoreSet{core});
    EXPECT_EQ(ran_on, static_cast<int>(core));
  }
  EXPECT_EQ(CoreSet::allowed(), allowed);  // of this thread
}

TEST(CoreSet, RefusesCoresThatAreNotThere) {
  std::thread([] {
    const CoreSet before = CoreSet::allowed();
    if (!before.contains(1023)) {
      EXPECT_FALSE(CoreSet{1023}.confine_this_thread());
    }
    EXPECT_FALSE(CoreSet().confine_this_thread());
    EXPECT_EQ(CoreSet::allowed(), before);
  }).join();
}

}  // namespace
}  // namespace thaw
