// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/snapshot_child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "thaw/freeze/snapshot_verify.h"
#include "thaw/store/dir_store.h"
#include "thaw/store/stored_page_digests.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/layout_fixture.h"
#include "thaw/testing/snapshot_fixture.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint32_t kPages = 320;
constexpr uint32_t kChunkPages = 16;

class SnapshotChildTest : public testing::Test {
 protected:
  SnapshotChildTest() : fixture_(store_), tags_(busy_pages(kPages)) {
    for (size_t i = 100; i < 130; ++i) tags_[i] = kHolePage;
    write_image(base_.memory, tags_);
    write_image(base_.vmstate, busy_pages(7), 123);
    write_image(base_.disks[0].second, busy_pages(40, 3));
    diff_tags_.assign(kPages, kHolePage);
  }

  void freeze_base(bool digests = false) {
    FreezeOptions options;
    options.chunk_bytes = kChunkPages * kPageBytes;
    options.page_digests = digests;
    ASSERT_TRUE(fixture_.freeze_paths("base", base_, options));
  }

  /// `page` becomes `tag` in the diff and in the memory that is expected.
  void dirty(size_t page, PageTag tag) {
    diff_tags_[page] = tag;
    tags_[page] = tag;
  }
  const std::string& write_diff() {
    write_image(diff_, diff_tags_);
    return diff_;
  }
  const std::string& write_full() {
    write_image(full_, tags_);
    return full_;
  }
  SourcePaths new_vmstate() {
    const std::string path = directory_.file("vmstate2");
    write_image(path, busy_pages(7, 90), 77);
    return {"", path, {}};
  }

  void expect_child(std::string_view name) {
    const Manifest child = fixture_.load(name);
    EXPECT_EQ(fixture_.bytes_of(child, ImageKind::kMemory), whole_file(write_full()));
    EXPECT_EQ(fixture_.bytes_of(child, ImageKind::kVmstate),
              whole_file(directory_.file("vmstate2")));
    EXPECT_EQ(fixture_.bytes_of(child, ImageKind::kDisk, "root"),
              whole_file(base_.disks[0].second));
    Progress progress;
    const auto verdict = verify_snapshot(fixture_.catalog, fixture_.keys, name, {}, progress);
    ASSERT_TRUE(verdict);
    EXPECT_TRUE(verdict->good());
  }

  TempDir directory_{"/dev/shm"};
  const std::string diff_ = directory_.file("diff");
  const std::string full_ = directory_.file("full");
  SourcePaths base_{
      directory_.file("memory"), directory_.file("vmstate"), {{"root", directory_.file("root")}}};
  MemoryStore store_;
  LayoutFixture fixture_;
  std::vector<PageTag> tags_;
  std::vector<PageTag> diff_tags_;
};

TEST_F(SnapshotChildTest, ADiffIsHolesUnchangedDataDirtyZerosZero) {
  freeze_base();
  dirty(5, 77);
  dirty(6, kZeroPage);
  dirty(110, 78);         // was a hole of the base
  dirty(111, kZeroPage);  // was zero and is
  dirty(kPages - 1, 79);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->by, DirtyBy::kExtents);
  EXPECT_EQ(child->candidate_pages, 5u);
  EXPECT_EQ(child->changed_pages, 3u);
  EXPECT_EQ(child->cleared_pages, 1u);
  EXPECT_EQ(child->moved_pages, 0u);
  EXPECT_EQ(child->freeze.stats.chunks_created, 2u);  // the dirty pages, the vmstate
  expect_child("child");
  EXPECT_EQ(fixture_.load("child").clear.layout, Layout::kLinear);
}

TEST_F(SnapshotChildTest, ADiffOfHolesOnlyIsTheParent) {
  freeze_base();
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->freeze.stats.chunks_created, 1u);  // the vmstate
  EXPECT_EQ(fixture_.bytes_of(fixture_.load("child"), ImageKind::kMemory),
            whole_file(base_.memory));
  EXPECT_TRUE(std::ranges::equal(fixture_.load("child").images[0].map.extents(),
                                 fixture_.load("base").images[0].map.extents()));
}

TEST_F(SnapshotChildTest, ADiffOfDataOnlyIsAFullMemory) {
  freeze_base();
  for (size_t page = 0; page < kPages; ++page) dirty(page, page % 3 == 0 ? kZeroPage : 99);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->candidate_pages, kPages);
  expect_child("child");
}

TEST_F(SnapshotChildTest, ATrailingHoleIsUnchanged) {
  freeze_base();
  dirty(0, 40);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->candidate_pages, 1u);
  expect_child("child");
}

TEST_F(SnapshotChildTest, ADiffOfAnotherSizeIsRefused) {
  freeze_base();
  diff_tags_.push_back(5);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(child.error().message, HasSubstr("full size"));
  EXPECT_FALSE(fixture_.has("child"));
}

TEST_F(SnapshotChildTest, AFullMemoryOfAnotherSizeIsRefused) {
  freeze_base();
  tags_.push_back(5);
  const auto child = fixture_.freeze_full("child", "base", write_full(), new_vmstate());
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kInvalid);
}

TEST_F(SnapshotChildTest, AChildNeedsItsOwnVmstateAndTakesTheDisks) {
  freeze_base();
  dirty(3, 9);
  const auto child = fixture_.freeze_diff("child", "base", write_diff());
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(child.error().message, HasSubstr("vmstate"));
  EXPECT_FALSE(fixture_.has("child"));

  SourcePaths others = new_vmstate();
  others.disks = {{"root", directory_.file("root2")}, {"data", directory_.file("data")}};
  write_image(others.disks[0].second, busy_pages(5, 30));
  write_image(others.disks[1].second, busy_pages(6, 50));
  ASSERT_TRUE(fixture_.freeze_diff("child", "base", diff_, others));
  const Manifest manifest = fixture_.load("child");
  EXPECT_EQ(fixture_.bytes_of(manifest, ImageKind::kDisk, "root"),
            whole_file(others.disks[0].second));
  EXPECT_EQ(fixture_.bytes_of(manifest, ImageKind::kDisk, "data"),
            whole_file(others.disks[1].second));
}

TEST_F(SnapshotChildTest, AnotherTenantsParentIsNotThere) {
  freeze_base();
  const FixedKeys other("other");
  EXPECT_EQ(fixture_.catalog.resolve("other", "base").error().code, ErrorCode::kNotFound);
  // A name that somebody bends to another tenant's manifest opens nothing.
  ASSERT_TRUE(fixture_.catalog.bind_new("other", "stolen", fixture_.target("base")));
  const auto bytes = fixture_.catalog.read_manifest(fixture_.target("base"));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(decode_manifest(*bytes, other).error().code, ErrorCode::kDenied);
}

TEST_F(SnapshotChildTest, AParentInARootThatGoesIsRefused) {
  freeze_base();
  const std::string expired = "expired\n";
  ASSERT_TRUE(store_.replace("roots/0000000000000001/state", as_bytes(expired)));
  dirty(1, 9);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(child.error().message, HasSubstr("full snapshot"));
}

TEST_F(SnapshotChildTest, AFullMemoryIsComparedByDigestsWithoutReadingTheParent) {
  freeze_base(true);
  dirty(5, 77);
  dirty(6, kZeroPage);
  dirty(110, 78);
  // No chunk of the parent's memory can be read, and none has to be.
  const Manifest base = fixture_.load("base");
  for (const Extent& extent : base.images[0].map.extents()) {
    ASSERT_TRUE(store_.remove(chunk_key(1, base.clear.chunks[extent.chunk].id)));
  }
  const auto child = fixture_.freeze_full("child", "base", write_full(), new_vmstate());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->by, DirtyBy::kDigests);
  EXPECT_EQ(child->changed_pages, 2u);
  EXPECT_EQ(child->cleared_pages, 1u);
  EXPECT_TRUE(child->has_digests);
}

TEST_F(SnapshotChildTest, DigestsAreHandedDownAndStayRight) {
  freeze_base(true);
  for (int generation = 0; generation < 6; ++generation) {
    const std::string parent = generation == 0 ? "base" : "child" + std::to_string(generation - 1);
    const std::string name = "child" + std::to_string(generation);
    for (size_t i = 0; i < 40; ++i) {
      tags_[(generation * 37 + i * 3) % kPages] =
          static_cast<PageTag>(generation % 2 == 0 ? 20 + generation : i % 3);
    }
    const auto child = fixture_.freeze_full(name, parent, write_full(), new_vmstate());
    ASSERT_TRUE(child) << child.error().message;
    EXPECT_EQ(child->by, DirtyBy::kDigests);
    expect_child(name);
    // The digests are those that a freeze of the same memory makes.
    FreezeOptions options;
    options.page_digests = true;
    options.replace = true;
    ASSERT_TRUE(fixture_.freeze_paths("anew", {full_, "", {}}, options));
    const auto digests_of = [&](std::string_view of) {
      const auto digests = open_page_digests(fixture_.catalog, fixture_.keys, fixture_.target(of),
                                             fixture_.load(of).images[0].map.data_pages());
      return digests && *digests ? (*digests)->pages : std::vector<PageDigest>();
    };
    EXPECT_EQ(digests_of(name), digests_of("anew"));
    EXPECT_FALSE(digests_of(name).empty());
  }
}

TEST_F(SnapshotChildTest, DamagedDigestsCostTimeOnly) {
  freeze_base(true);
  flip_bit(store_, page_digests_key(1, fixture_.target("base").manifest), 100);
  dirty(5, 77);
  const auto child = fixture_.freeze_full("child", "base", write_full(), new_vmstate());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->by, DirtyBy::kComparison);
  EXPECT_FALSE(child->digests_error.empty());
  EXPECT_EQ(child->changed_pages, 1u);
  expect_child("child");
}

TEST_F(SnapshotChildTest, WithoutDigestsTheParentIsReadAndACorruptChunkStopsIt) {
  freeze_base();
  dirty(5, 77);
  const std::string key = chunk_key(1, fixture_.load("base").clear.chunks[3].id);
  flip_bit(store_, key);
  const auto refused = fixture_.freeze_full("child", "base", write_full(), new_vmstate());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(fixture_.has("child"));
  // A diff needs nothing of that chunk.
  ASSERT_TRUE(fixture_.freeze_diff("from-diff", "base", write_diff(), new_vmstate()));
  flip_bit(store_, key);
  const auto child = fixture_.freeze_full("child", "base", full_, new_vmstate());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->by, DirtyBy::kComparison);
  EXPECT_EQ(child->changed_pages, 1u);
  expect_child("child");
}

TEST_F(SnapshotChildTest, AChunkHardlyInUseIsGivenUpAndNoOther) {
  freeze_base();
  for (size_t i = 0; i < 13; ++i) dirty(2 * kChunkPages + i, 50);  // 3 of 16 stay
  for (size_t i = 0; i < 12; ++i) dirty(4 * kChunkPages + i, 51);  // 4 of 16 stay
  const Manifest base = fixture_.load("base");
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child);
  EXPECT_EQ(child->moved_pages, 3u);
  expect_child("child");
  const Manifest manifest = fixture_.load("child");
  const auto has = [&](const ChunkId& id) {
    return std::ranges::find(manifest.clear.chunks, id, &ChunkEntry::id) !=
           manifest.clear.chunks.end();
  };
  EXPECT_FALSE(has(base.clear.chunks[2].id));
  EXPECT_TRUE(has(base.clear.chunks[4].id));
}

TEST_F(SnapshotChildTest, AHotParentHasAHotChildWithNewHotChunksInFront) {
  freeze_base();
  std::vector<uint32_t> order;
  for (uint32_t page = 200; page > 160; --page) order.push_back(page);
  order.push_back(105);  // zero
  order.push_back(106);  // zero
  WorkingSet set;
  set.manifest = fixture_.target("base").manifest;
  set.recordings.push_back(recording_of(order));
  Pack pack;
  pack.chunks.push_back({ChunkId{}, 1});
  pack.chunk_keys = SecretBytes(kKeyBytes);
  pack.extents.push_back({170, 0, 0, 1});
  set.packs.push_back(std::move(pack));
  ASSERT_TRUE(put_working_set(fixture_.catalog, fixture_.keys, fixture_.target("base"), set));
  RelayoutOptions relayout_options;
  relayout_options.plan.stages = {16, 16};
  ASSERT_TRUE(fixture_.relayout("base", relayout_options));
  const Manifest base = fixture_.load("base");
  ASSERT_EQ(base.hot.chunks, 3u);  // 16, 16 and 8 pages

  dirty(170, 33);         // of the second stage
  dirty(200, 34);         // of the first
  dirty(201, 35);         // not recorded
  dirty(165, kZeroPage);  // recorded, zero now
  dirty(105, 36);         // recorded, was zero
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_TRUE(child->has_working_set);
  expect_child("child");
  const Manifest manifest = fixture_.load("child");
  EXPECT_EQ(manifest.clear.layout, Layout::kHot);
  ASSERT_EQ(manifest.hot.chunks, 4u);
  for (uint32_t chunk = 0; chunk < 3; ++chunk) {
    EXPECT_EQ(manifest.clear.chunks[chunk + 1].id, base.clear.chunks[chunk].id);
  }
  const PageMap& map = manifest.images[0].map;
  for (const uint32_t page : {105u, 170u, 200u}) EXPECT_EQ(map.locate(page).chunk, 0u);
  EXPECT_GE(map.locate(201).chunk, 4u);
  EXPECT_EQ(manifest.hot.zero_runs, (PageRuns{{106, 1}, {165, 1}}));
  const auto handed =
      open_working_set(fixture_.catalog, fixture_.keys, child->freeze.target, kPages);
  ASSERT_TRUE(handed && *handed);
  EXPECT_EQ((*handed)->recordings[0], recording_of(order));
  EXPECT_TRUE((*handed)->packs.empty());  // page 170 changed
}

TEST_F(SnapshotChildTest, APackOfPagesThatStayedIsHandedDown) {
  freeze_base();
  WorkingSet set;
  set.manifest = fixture_.target("base").manifest;
  set.recordings.push_back(recording_of({170}));
  Pack pack;
  pack.chunks.push_back({ChunkId{}, 1});
  pack.chunk_keys = SecretBytes(kKeyBytes);
  pack.extents.push_back({170, 0, 0, 1});
  set.packs.push_back(std::move(pack));
  ASSERT_TRUE(put_working_set(fixture_.catalog, fixture_.keys, fixture_.target("base"), set));
  dirty(169, 33);
  const auto child = fixture_.freeze_diff("child", "base", write_diff(), new_vmstate());
  ASSERT_TRUE(child);
  const auto handed =
      open_working_set(fixture_.catalog, fixture_.keys, child->freeze.target, kPages);
  ASSERT_TRUE(handed && *handed);
  EXPECT_EQ((*handed)->packs.size(), 1u);
}

TEST_F(SnapshotChildTest, ASourceThatChangesMeanwhileIsRefused) {
  freeze_base();
  dirty(5, 77);
  FreezeOptions options;
  write_diff();
  options.on_step = [&](std::string_view step) {
    if (step != "opened") return;
    dirty(7, 78);
    write_diff();
  };
  const auto child = fixture_.freeze_diff("child", "base", diff_, new_vmstate(), options);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(fixture_.has("child"));
}

TEST(SnapshotChildCrash, KilledAtAnyStepTheParentIsWholeAndItCanBeRepeated) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  std::vector<PageTag> tags = busy_pages(100);
  write_image(paths.memory, tags);
  std::vector<PageTag> diff_tags(tags.size(), kHolePage);
  for (const size_t page : {5u, 44u, 45u, 99u}) diff_tags[page] = tags[page] = 201;
  diff_tags[70] = tags[70] = kZeroPage;
  const std::string diff = directory.file("diff");
  const std::string expected = directory.file("expected");
  write_image(diff, diff_tags);
  write_image(expected, tags);
  for (const std::string step : {"opened", "group_put", "chunks_done", "manifest_put",
                                 "working_set_put", "digests_put", "name_bound"}) {
    SCOPED_TRACE(step);
    const std::string store_path = directory.file("store-" + step);
    const auto store = DirStore::create(store_path);
    ASSERT_TRUE(store);
    LayoutFixture fixture(**store);
    FreezeOptions freeze_options;
    freeze_options.chunk_bytes = kChunkPages * kPageBytes;
    freeze_options.page_digests = true;
    ASSERT_TRUE(fixture.freeze_paths("base", paths, freeze_options));
    fixture.record("base", {9, 70, 3, 44, 45, 46, 1});
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FreezeOptions options;
      options.on_step = [&](std::string_view reached) {
        if (reached == step) ::raise(SIGKILL);
      };
      (void)fixture.freeze_diff("child", "base", diff, {}, options);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const bool bound = step == "name_bound";
    EXPECT_EQ(fixture.has("child"), bound);
    EXPECT_EQ(fixture.bytes_of(fixture.load("base"), ImageKind::kMemory), whole_file(paths.memory));
    const std::string name = bound ? "again" : "child";
    const auto again = fixture.freeze_diff(name, "base", diff);
    ASSERT_TRUE(again) << again.error().message;
    // Nothing that was put is put again.
    EXPECT_EQ(again->freeze.stats.chunks_created > 0, step == "opened");
    EXPECT_EQ(fixture.bytes_of(fixture.load(name), ImageKind::kMemory), whole_file(expected));
    for (const std::string& snapshot : {std::string("base"), name}) {
      Progress progress;
      const auto verdict = verify_snapshot(fixture.catalog, fixture.keys, snapshot, {}, progress);
      ASSERT_TRUE(verdict);
      EXPECT_TRUE(verdict->good());
    }
  }
}

TEST(FreezeHot, IsWhatARelayoutMakesOfIt) {
  const TempDir directory("/dev/shm");
  std::mt19937_64 random(11);
  MemoryStore store;
  LayoutFixture fixture(store);
  const SourcePaths old_paths{directory.file("old"), "", {}};
  const SourcePaths paths{directory.file("new"), "", {}};
  write_image(old_paths.memory, random_tags(random, 2000));
  write_image(paths.memory, random_tags(random, 2000));
  FreezeOptions options;
  options.chunk_bytes = kChunkBytesMin;
  ASSERT_TRUE(fixture.freeze_paths("old", old_paths, options));
  ASSERT_TRUE(fixture.freeze_paths("twin", paths, options));
  std::vector<uint32_t> order;
  for (uint32_t page = 0; page < 2000; page += 3) order.push_back((page * 7) % 2000);
  const auto recorded = [&](std::string_view name) {
    WorkingSet set;
    set.manifest = fixture.target(name).manifest;
    set.recordings.push_back(recording_of(order));
    return set;
  };
  ASSERT_TRUE(
      put_working_set(fixture.catalog, fixture.keys, fixture.target("twin"), recorded("twin")));
  ASSERT_TRUE(fixture.relayout("twin", {}));

  Progress progress;
  const auto images = open_sources(paths);
  ASSERT_TRUE(images);
  const auto hot = freeze_hot(fixture.catalog, fixture.keys, "hot", *images,
                              {recorded("old"), 2000 * kPageBytes}, options, progress);
  ASSERT_TRUE(hot) << hot.error().message;
  const Manifest manifest = fixture.load("hot");
  const Manifest twin = fixture.load("twin");
  EXPECT_EQ(manifest.clear.layout, Layout::kHot);
  ASSERT_EQ(manifest.hot.chunks, twin.hot.chunks);
  EXPECT_GT(manifest.hot.chunks, 50u);
  EXPECT_EQ(manifest.hot.zero_runs, twin.hot.zero_runs);
  for (uint32_t chunk = 0; chunk < twin.hot.chunks; ++chunk) {
    EXPECT_EQ(manifest.clear.chunks[chunk].id, twin.clear.chunks[chunk].id);
  }
  EXPECT_EQ(fixture.bytes_of(manifest, ImageKind::kMemory), whole_file(paths.memory));
  const auto bound = open_working_set(fixture.catalog, fixture.keys, hot->target, 2000);
  ASSERT_TRUE(bound && *bound);
  EXPECT_EQ((*bound)->recordings[0], recording_of(order));

  const auto wrong = freeze_hot(fixture.catalog, fixture.keys, "wrong", *images,
                                {recorded("old"), 2001 * kPageBytes}, options, progress);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalid);
  EXPECT_FALSE(fixture.has("wrong"));
}

}  // namespace
}  // namespace thaw
