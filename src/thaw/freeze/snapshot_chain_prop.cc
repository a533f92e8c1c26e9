// SPDX-License-Identifier: Apache-2.0
//
// Chains of fifty children, by diffs and by full memories, hot and linear, with and without page
// digests: each child exports as its base plus all diffs, byte for byte, also when no manifest of
// its ancestors is left.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "thaw/freeze/snapshot_verify.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/testing/layout_fixture.h"

namespace thaw {
namespace {

constexpr int kGenerations = 50;

RC_GTEST_PROP(SnapshotChain, EachChildIsItsBasePlusItsDiffs, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
  const auto pages = *rc::gen::inRange<uint32_t>(1, 150);
  const bool digests = *rc::gen::arbitrary<bool>();
  const bool hot = *rc::gen::arbitrary<bool>();
  const TempDir directory("/dev/shm");
  const std::string path = directory.file("memory");
  MemoryStore store;
  LayoutFixture fixture(store);
  FreezeOptions options;
  options.chunk_bytes = kChunkBytesMin << *rc::gen::inRange(0, 3);
  options.page_digests = digests;
  options.threads = 2;

  std::vector<PageTag> tags = random_tags(random, pages);
  write_image(path, tags);
  RC_ASSERT(fixture.freeze_paths("snap-0", {path, "", {}}, options).has_value());
  if (hot) {
    std::vector<uint32_t> order;
    for (uint32_t page = 0; page < pages; page += 1 + static_cast<uint32_t>(random() % 3))
      order.push_back(page);
    std::ranges::shuffle(order, random);
    WorkingSet set;
    set.manifest = fixture.target("snap-0").manifest;
    set.recordings.push_back(recording_of(order));
    RC_ASSERT(
        put_working_set(fixture.catalog, fixture.keys, fixture.target("snap-0"), set).has_value());
    RelayoutOptions relayout_options;
    relayout_options.plan.stages = {8, 16};
    RC_ASSERT(fixture.relayout("snap-0", relayout_options).has_value());
  }
  for (int generation = 1; generation <= kGenerations; ++generation) {
    const std::string parent = "snap-" + std::to_string(generation - 1);
    const std::string name = "snap-" + std::to_string(generation);
    std::vector<PageTag> diff(pages, kHolePage);
    for (uint32_t changes = static_cast<uint32_t>(random() % 30); changes > 0; --changes) {
      const size_t page = random() % pages;
      diff[page] = random() % 3 == 0 ? kZeroPage : static_cast<PageTag>(2 + random() % 250);
      tags[page] = diff[page];
    }
    const bool full = random() % 3 == 0;
    write_image(path, full ? tags : diff);
    const auto child = full ? fixture.freeze_full(name, parent, path, {}, options)
                            : fixture.freeze_diff(name, parent, path, {}, options);
    RC_ASSERT(child.has_value());
    RC_ASSERT(child->has_working_set == hot);
    RC_ASSERT(child->has_digests == digests);
    if (full) RC_ASSERT((child->by == DirtyBy::kDigests) == digests);
    // Only the newest manifest is left: nothing of a child is with its ancestors but chunks.
    RC_ASSERT(store.remove(manifest_key(1, fixture.target(parent).manifest)).has_value());
    RC_ASSERT(fixture.catalog.unbind(fixture.keys.tenant(), parent).has_value());
    if (generation % 10 != 0 && generation > 3) continue;

    const Manifest manifest = fixture.load(name);
    RC_ASSERT(manifest.clear.layout == (hot ? Layout::kHot : Layout::kLinear));
    write_image(path, tags);
    RC_ASSERT(fixture.bytes_of(manifest, ImageKind::kMemory) == whole_file(path));
    Progress progress;
    const auto verdict = verify_snapshot(fixture.catalog, fixture.keys, name, {}, progress);
    RC_ASSERT(verdict.has_value() && verdict->good());
  }
}

}  // namespace
}  // namespace thaw
