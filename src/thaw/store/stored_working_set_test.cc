// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/stored_working_set.h"

#include <gtest/gtest.h>

#include "thaw/testing/faulty_store.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"

namespace thaw {
namespace {

constexpr uint64_t kPages = 1024;

class StoredWorkingSetTest : public testing::Test {
 protected:
  NameTarget target(const std::string& name) {
    return make_snapshot(store_, {.name = name, .memory_pages = kPages}).target;
  }
  static WorkingSet set_of(const NameTarget& target, uint32_t page) {
    return {target.manifest, {{{{page, 0, true}, {7, 3, false}}}}, {}};
  }
  std::string key(const NameTarget& at) const { return working_set_key(at.root_id, at.manifest); }
  Error error_of(const NameTarget& at, uint64_t pages = kPages) const {
    const auto opened = open_working_set(catalog_, keys_, at, pages);
    EXPECT_FALSE(opened);
    if (opened) return Error{ErrorCode::kInterrupted, ""};
    EXPECT_NE(opened.error().message.find(key(at)), std::string::npos) << opened.error().message;
    return opened.error();
  }

  MemoryStore store_;
  Catalog catalog_{store_};
  FixedKeys keys_{SnapshotFixtureOptions{}.tenant};
};

TEST_F(StoredWorkingSetTest, IsOneOfItsManifestAndReplaced) {
  const NameTarget a = target("a");
  const NameTarget b = target("b");
  EXPECT_FALSE(open_working_set(catalog_, keys_, a, kPages).value());
  EXPECT_EQ(catalog_.read_working_set(a).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 2)));
  EXPECT_EQ(open_working_set(catalog_, keys_, a, kPages).value()->recordings,
            set_of(a, 2).recordings);
  EXPECT_FALSE(open_working_set(catalog_, keys_, b, kPages).value());
}

TEST_F(StoredWorkingSetTest, WhatIsNoneOfThisManifestIsCorrupt) {
  const NameTarget a = target("a");
  const NameTarget b = target("b");
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  ASSERT_TRUE(catalog_.write_working_set(b, catalog_.read_working_set(a).value()));
  const Error other = error_of(b);
  EXPECT_EQ(other.code, ErrorCode::kCorrupt);
  EXPECT_NE(other.message.find("it belongs to manifest " + a.manifest.hex()), std::string::npos);
  EXPECT_EQ(error_of(a, 7).code, ErrorCode::kCorrupt) << "a touch past the end of the memory";
  ASSERT_TRUE(catalog_.write_working_set(a, as_bytes("THAWWSET")));
  EXPECT_EQ(error_of(a).code, ErrorCode::kCorrupt);
}

TEST_F(StoredWorkingSetTest, AnyFlippedBitIsFound) {
  const NameTarget a = target("a");
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  const size_t bytes = catalog_.read_working_set(a)->size();
  for (uint64_t byte = 0; byte < bytes; ++byte) {
    flip_bit(store_, key(a), byte);
    SCOPED_TRACE(byte);
    EXPECT_NE(error_of(a).code, ErrorCode::kUnavailable);
    flip_bit(store_, key(a), byte);
  }
  EXPECT_TRUE(open_working_set(catalog_, keys_, a, kPages).value());
}

TEST_F(StoredWorkingSetTest, AStoreThatFailsIsNoMissingWorkingSet) {
  const NameTarget a = target("a");
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  FaultyStore faulty(store_);
  const Catalog catalog(faulty);
  faulty.set_plan({.fail_nth = 0});
  const auto opened = open_working_set(catalog, keys_, a, kPages);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
}

TEST_F(StoredWorkingSetTest, ACopyIsBoundToItsNewManifest) {
  const NameTarget a = target("a");
  const NameTarget b = target("b");
  ASSERT_TRUE(copy_working_set(catalog_, keys_, a, b)) << "there is none";
  EXPECT_FALSE(open_working_set(catalog_, keys_, b, kPages).value());
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  ASSERT_TRUE(copy_working_set(catalog_, keys_, a, b));
  EXPECT_EQ(open_working_set(catalog_, keys_, b, kPages).value()->recordings,
            set_of(a, 1).recordings);
  EXPECT_TRUE(open_working_set(catalog_, keys_, a, kPages).value());
}

}  // namespace
}  // namespace thaw
