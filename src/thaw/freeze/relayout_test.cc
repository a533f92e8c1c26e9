// SPDX-License-Identifier: Apache-2.0
//
// Layouts of one snapshot: every byte comes back whatever the layout, only what must be is written,
// and what stops the work on the way loses nothing.
#include "thaw/freeze/relayout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "thaw/freeze/snapshot_verify.h"
#include "thaw/store/dir_store.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/layout_fixture.h"
#include "thaw/testing/snapshot_fixture.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint32_t kChunkBytes = kChunkBytesMin;  // four pages

std::set<std::string> chunk_names(const Manifest& manifest) {
  std::set<std::string> names;
  for (const ChunkEntry& chunk : manifest.clear.chunks) names.insert(chunk.id.hex());
  return names;
}

RC_GTEST_PROP(Relayout, AnyLayoutHasTheSameBytesAndLinearHasTheSameChunksAgain, ()) {
  const TempDir directory("/dev/shm");
  const auto pages = *rc::gen::inRange<uint32_t>(1, 300);
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  const std::vector<PageTag> tags = random_tags(random, pages);
  const SourcePaths paths{directory.file("memory"), directory.file("vmstate"), {}};
  write_image(paths.memory, tags);
  write_image(paths.vmstate, busy_pages(9));
  MemoryStore store;
  LayoutFixture fixture(store);
  FreezeOptions freeze_options;
  freeze_options.chunk_bytes = kChunkBytes << *rc::gen::inRange(0, 3);
  RC_ASSERT(fixture.freeze_paths("snap", paths, freeze_options).has_value());
  const Manifest linear = fixture.load("snap");
  const NameTarget linear_target = fixture.target("snap");

  std::vector<uint32_t> order(pages);
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::shuffle(order, random);
  order.resize(*rc::gen::inRange<uint32_t>(0, pages + 1));
  fixture.record("snap", order);

  RelayoutOptions options;
  options.plan.stages = {4, 32};
  const auto hot_result = fixture.relayout("snap", options);
  RC_ASSERT(hot_result.has_value());
  const Manifest hot = fixture.load("snap");
  RC_ASSERT(hot.clear.layout == Layout::kHot);
  RC_ASSERT(fixture.bytes_of(hot, ImageKind::kMemory) == whole_file(paths.memory));
  RC_ASSERT(fixture.bytes_of(hot, ImageKind::kVmstate) == whole_file(paths.vmstate));

  // Each recorded page is in a hot chunk or in a zero run, whichever it is.
  const PageMap& map = hot.find(ImageKind::kMemory)->map;
  for (const uint32_t page : order) {
    const PageLocation at = map.locate(page);
    RC_ASSERT(at.zero == (tags[page] <= kZeroPage));
    RC_ASSERT(at.zero == contains_page(hot.hot.zero_runs, page));
    if (!at.zero) RC_ASSERT(at.chunk < hot.hot.chunks);
  }
  RC_ASSERT(count_pages(hot.hot.zero_runs) + hot_result->hot_pages >= order.size());
  // The old manifest is as it was, and the working set went along.
  RC_ASSERT(fixture.catalog.read_manifest(linear_target).has_value());
  const auto moved_set =
      open_working_set(fixture.catalog, fixture.keys, fixture.target("snap"), pages);
  RC_ASSERT(moved_set.has_value() && moved_set->has_value());
  RC_ASSERT((*moved_set)->recordings[0] == recording_of(order));
  // Again: nothing to do.
  const auto again = fixture.relayout("snap", options);
  RC_ASSERT(again.has_value() && !again->changed && again->target == hot_result->target);

  options.layout = Layout::kLinear;
  const auto linear_result = fixture.relayout("snap", options);
  RC_ASSERT(linear_result.has_value());
  RC_ASSERT(linear_result->chunks_created == 0u);  // the store has them all
  const Manifest back = fixture.load("snap");
  RC_ASSERT(back.clear.layout == Layout::kLinear);
  RC_ASSERT(chunk_names(back) == chunk_names(linear));
  RC_ASSERT(std::ranges::equal(back.images[0].map.extents(), linear.images[0].map.extents()));
  RC_ASSERT(back.chunk_keys.equals(linear.chunk_keys.span()));
}

class RelayoutTest : public testing::Test {
 protected:
  RelayoutTest() : fixture_(store_) {
    FreezeOptions options;
    options.chunk_bytes = 16 * kPageBytes;
    write_image(paths_.memory, busy_pages(320));
    EXPECT_TRUE(fixture_.freeze_paths("snap", paths_, options));
  }

  TempDir directory_{"/dev/shm"};
  SourcePaths paths_{directory_.file("memory"), "", {}};
  MemoryStore store_;
  LayoutFixture fixture_;
};

TEST_F(RelayoutTest, HotChunksComeFirstStageAfterStage) {
  // Two pages of each of 20 chunks, from the end to the front.
  std::vector<uint32_t> order;
  for (uint32_t chunk = 20; chunk-- > 0;) {
    order.push_back(chunk * 16 + 9);
    order.push_back(chunk * 16 + 3);
  }
  fixture_.record("snap", order);
  RelayoutOptions options;
  options.plan.stages = {8, 16};
  options.plan.skirt_pages = 0;
  const auto result = fixture_.relayout("snap", options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->hot_chunks, 3u);  // stages of 8, 16 and 16 pages
  EXPECT_EQ(result->moved_pages, 40u);
  EXPECT_EQ(result->chunks_created, 3u);
  const Manifest hot = fixture_.load("snap");
  const PageMap& map = hot.images[0].map;
  size_t begin = 0;
  for (uint32_t chunk = 0; chunk < 3; ++chunk) {
    std::vector<uint32_t> stage(
        order.begin() + static_cast<ptrdiff_t>(begin),
        order.begin() + static_cast<ptrdiff_t>(begin + (chunk == 0 ? 8 : 16)));
    begin += stage.size();
    std::ranges::sort(stage);
    for (uint32_t slot = 0; slot < stage.size(); ++slot) {
      EXPECT_EQ(map.locate(stage[slot]).chunk, chunk);
      EXPECT_EQ(map.locate(stage[slot]).slot, slot);
    }
  }
  // The others are where they were: 14 of 16 pages of each old chunk are still in use.
  EXPECT_EQ(hot.clear.chunks.size(), 23u);
  EXPECT_EQ(fixture_.bytes_of(hot, ImageKind::kMemory), whole_file(paths_.memory));
}

TEST_F(RelayoutTest, TheNeighboursOfRecordedPagesFollowTheHotChunks) {
  fixture_.record("snap", {100, 40});
  RelayoutOptions options;
  options.plan.skirt_pages = 2;
  const auto result = fixture_.relayout("snap", options);
  ASSERT_TRUE(result) << result.error().message;
  const Manifest hot = fixture_.load("snap");
  EXPECT_EQ(hot.hot.chunks, 1u);
  EXPECT_EQ(hot.hot.skirt_chunks, 1u);
  const PageMap& map = hot.images[0].map;
  uint32_t slot = 0;
  for (const uint64_t page : {38, 39, 41, 42, 98, 99, 101, 102}) {
    EXPECT_EQ(map.locate(page).chunk, 1u);
    EXPECT_EQ(map.locate(page).slot, slot++);
  }
  EXPECT_EQ(fixture_.bytes_of(hot, ImageKind::kMemory), whole_file(paths_.memory));
  const auto again = fixture_.relayout("snap", options);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->changed);
}

TEST_F(RelayoutTest, AChunkHardlyInUseIsGivenUp) {
  // 13 of the 16 pages of chunk 2 are hot: 3 of 16 are less than a quarter. 12 of chunk 5: no less.
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < 13; ++i) order.push_back(2 * 16 + i);
  for (uint32_t i = 0; i < 12; ++i) order.push_back(5 * 16 + i);
  fixture_.record("snap", order);
  const Manifest before = fixture_.load("snap");
  RelayoutOptions options;
  options.plan.skirt_pages = 0;
  const auto result = fixture_.relayout("snap", options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->moved_pages, 25u + 3u);
  const std::set<std::string> names = chunk_names(fixture_.load("snap"));
  EXPECT_FALSE(names.contains(before.clear.chunks[2].id.hex()));
  EXPECT_TRUE(names.contains(before.clear.chunks[5].id.hex()));
}

TEST_F(RelayoutTest, PacksStayBecauseTheirPagesDid) {
  WorkingSet set;
  set.recordings.push_back(recording_of({5, 6}));
  Pack pack;
  pack.chunks.push_back({ChunkId{sha256(as_bytes("any"))}, 2});
  pack.chunk_keys = SecretBytes(kKeyBytes);
  pack.extents.push_back({5, 0, 0, 2});
  set.packs.push_back(std::move(pack));
  const NameTarget from = fixture_.target("snap");
  set.manifest = from.manifest;
  ASSERT_TRUE(put_working_set(fixture_.catalog, fixture_.keys, from, set));
  const auto result = fixture_.relayout("snap", {});
  ASSERT_TRUE(result);
  const auto moved = open_working_set(fixture_.catalog, fixture_.keys, result->target, 320);
  ASSERT_TRUE(moved && *moved);
  EXPECT_EQ((*moved)->packs.size(), 1u);
}

TEST_F(RelayoutTest, WithoutAWorkingSetItSaysWhatToDo) {
  const auto result = fixture_.relayout("snap", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("thaw record snap"));
  // Linear needs none, and has nothing to do.
  RelayoutOptions options;
  options.layout = Layout::kLinear;
  const auto linear = fixture_.relayout("snap", options);
  ASSERT_TRUE(linear);
  EXPECT_FALSE(linear->changed);
}

TEST_F(RelayoutTest, WithoutMemoryItIsRefused) {
  ASSERT_TRUE(fixture_.freeze_paths("state", {"", paths_.memory, {}}));
  const auto result = fixture_.relayout("state", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
}

TEST_F(RelayoutTest, ACorruptChunkThatMustBeReadStopsIt) {
  fixture_.record("snap", {33});
  const Manifest before = fixture_.load("snap");
  const NameTarget target = fixture_.target("snap");
  const std::string key = chunk_key(1, before.clear.chunks[2].id);
  flip_bit(store_, key, 17);
  const auto result = fixture_.relayout("snap", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(result.error().message, HasSubstr(before.clear.chunks[2].id.hex()));
  EXPECT_EQ(fixture_.target("snap"), target);
  flip_bit(store_, key, 17);
  EXPECT_TRUE(fixture_.relayout("snap", {}));
}

TEST_F(RelayoutTest, ANameThatMovedMeanwhileIsLeftAlone) {
  fixture_.record("snap", {1, 2, 3});
  RelayoutOptions options;
  options.on_step = [&](std::string_view step) {
    if (step != "chunks_done") return;
    FreezeOptions replace;
    replace.replace = true;
    ASSERT_TRUE(fixture_.freeze_paths("snap", paths_, replace));
  };
  const auto result = fixture_.relayout("snap", options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kExists);
  EXPECT_EQ(fixture_.load("snap").clear.chunk_bytes, kChunkBytesDefault);
}

TEST_F(RelayoutTest, CancelledItChangesNothing) {
  fixture_.record("snap", {1, 2, 3});
  const NameTarget target = fixture_.target("snap");
  Progress progress;
  progress.cancel = true;
  const Manifest manifest = fixture_.load("snap");
  const auto result =
      relayout(fixture_.catalog, fixture_.keys, "snap", target, manifest, {}, progress);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(fixture_.target("snap"), target);
}

TEST(RelayoutCrash, KilledAtAnyStepTheSnapshotIsWhole) {
  const TempDir directory("/dev/shm");
  const SourcePaths paths{directory.file("memory"), "", {}};
  write_image(paths.memory, busy_pages(100));
  for (const std::string step :
       {"group_put", "chunks_done", "manifest_put", "working_set_put", "name_bound"}) {
    SCOPED_TRACE(step);
    const std::string store_path = directory.file("store-" + step);
    const auto store = DirStore::create(store_path);
    ASSERT_TRUE(store);
    LayoutFixture fixture(**store);
    FreezeOptions freeze_options;
    freeze_options.chunk_bytes = kChunkBytes;
    ASSERT_TRUE(fixture.freeze_paths("snap", paths, freeze_options));
    fixture.record("snap", {9, 70, 3, 44, 45, 46, 1});
    const NameTarget before = fixture.target("snap");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RelayoutOptions options;
      options.on_step = [&](std::string_view reached) {
        if (reached == step) ::raise(SIGKILL);
      };
      (void)fixture.relayout("snap", options);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(fixture.target("snap") == before, step != "name_bound");
    EXPECT_EQ(fixture.bytes_of(fixture.load("snap"), ImageKind::kMemory), whole_file(paths.memory));
    const auto again = fixture.relayout("snap", {});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->changed, step != "name_bound");
    EXPECT_EQ(again->chunks_created, 0u);  // the killed one put them all
    const Manifest hot = fixture.load("snap");
    EXPECT_EQ(hot.clear.layout, Layout::kHot);
    EXPECT_EQ(fixture.bytes_of(hot, ImageKind::kMemory), whole_file(paths.memory));
    Progress progress;
    const auto verdict = verify_snapshot(fixture.catalog, fixture.keys, "snap", {}, progress);
    ASSERT_TRUE(verdict);
    EXPECT_TRUE(verdict->good());
  }
}

}  // namespace
}  // namespace thaw
