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
  EXPECT_FALSE(store_.exists(key(a)).value());
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
  ASSERT_TRUE(store_.replace(key(b), store_.get(key(a), kGiB).value()));
  const Error other = error_of(b);
  EXPECT_EQ(other.code, ErrorCode::kCorrupt);
  EXPECT_NE(other.message.find("it belongs to manifest " + a.manifest.hex()), std::string::npos);
  EXPECT_EQ(error_of(a, 7).code, ErrorCode::kCorrupt) << "a touch past the end of the memory";
  ASSERT_TRUE(store_.replace(key(a), as_bytes("THAWWSET")));
  EXPECT_EQ(error_of(a).code, ErrorCode::kCorrupt);
}

TEST_F(StoredWorkingSetTest, AnyFlippedBitIsFound) {
  const NameTarget a = target("a");
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, set_of(a, 1)));
  const size_t bytes = store_.get(key(a), kGiB)->size();
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

TEST_F(StoredWorkingSetTest, RecordingsAreAppendedAndTheOldestGo) {
  const NameTarget a = target("a");
  WorkingSet packed = set_of(a, 1000);
  Pack& pack = packed.packs.emplace_back();
  pack.chunks = {{ChunkId{}, 1}};
  pack.chunk_keys = SecretBytes::random(kKeyBytes);
  pack.extents = {{1000, 0, 0, 1}};
  ASSERT_TRUE(put_working_set(catalog_, keys_, a, packed));
  for (uint32_t i = 0; i < kRecordingsMax + 3; ++i) {
    const WorkingSet now =
        add_recording(catalog_, keys_, a, kPages, {{{i, 0, false}}}, false).value();
    EXPECT_EQ(now.recordings.size(), std::min<size_t>(i + 2, kRecordingsMax));
    EXPECT_EQ(now.recordings.back().touches[0].page, i);
    const WorkingSet stored = *open_working_set(catalog_, keys_, a, kPages).value();
    EXPECT_EQ(stored.recordings, now.recordings);
    EXPECT_TRUE(stored.packs.empty()) << "made for other recordings";
  }
  const WorkingSet last = *open_working_set(catalog_, keys_, a, kPages).value();
  EXPECT_EQ(last.recordings.front().touches[0].page, 3u);
  EXPECT_EQ(add_recording(catalog_, keys_, a, kPages, {{{9, 0, true}}}, true)->recordings.size(),
            1u);
  // Damage stays until it is replaced on purpose.
  flip_bit(store_, key(a), 100);
  EXPECT_FALSE(add_recording(catalog_, keys_, a, kPages, {{{9, 0, true}}}, false));
  EXPECT_NE(error_of(a).code, ErrorCode::kUnavailable);
  EXPECT_TRUE(add_recording(catalog_, keys_, a, kPages, {{{9, 0, true}}}, true));
  EXPECT_TRUE(open_working_set(catalog_, keys_, a, kPages).value());
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
