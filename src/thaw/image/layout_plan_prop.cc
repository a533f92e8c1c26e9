// SPDX-License-Identifier: Apache-2.0
//
// Whatever the map, the working set and the changes: each page of the new memory has one place, in
// an old chunk that has it or in one recipe, and no chunk is kept that is hardly used.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/image/layout_plan.h"

namespace thaw {
namespace {

/// A manifest whose memory lies in chunks at random, some slots unused, and a disk that shares some
/// of the chunks.
Manifest random_manifest(std::mt19937& random) {
  Manifest manifest;
  manifest.clear.chunk_bytes = kChunkBytesMin << random() % 3;
  const auto capacity = static_cast<uint32_t>(manifest.clear.chunk_bytes / kPageBytes);
  const auto pages = static_cast<uint32_t>(1 + random() % 300);
  std::vector<uint32_t> order(pages);
  for (uint32_t i = 0; i < pages; ++i) order[i] = i;
  std::ranges::shuffle(order, random);
  std::vector<Extent> extents;
  std::vector<Extent> disk;
  std::vector<uint32_t> chunk_pages;
  uint16_t slot = static_cast<uint16_t>(capacity);
  for (const uint32_t page : order) {
    if (random() % 4 == 0) continue;
    if (slot == capacity) {
      slot = 0;
      chunk_pages.push_back(capacity);
      const auto chunk = static_cast<uint32_t>(chunk_pages.size() - 1);
      if (random() % 6 == 0) disk.push_back({chunk, chunk, 0, 1});
    }
    const auto chunk = static_cast<uint32_t>(chunk_pages.size() - 1);
    if (random() % 5 != 0) extents.push_back({page, chunk, slot, 1});
    ++slot;
  }
  std::ranges::sort(extents, {}, &Extent::page);
  for (const uint32_t count : chunk_pages) manifest.clear.chunks.push_back({ChunkId{}, count});
  manifest.images.push_back({ImageKind::kMemory, "memory", pages * kPageBytes,
                             *PageMap::make(pages, std::move(extents), chunk_pages)});
  manifest.images.push_back({ImageKind::kDisk, "disk", 1000 * kPageBytes,
                             *PageMap::make(1000, std::move(disk), chunk_pages)});
  if (random() % 2 == 0) {
    manifest.clear.layout = Layout::kHot;
    manifest.hot.chunks = static_cast<uint32_t>(random() % (chunk_pages.size() + 1));
    const PageRuns all{{0, pages}};
    for (const PageRun& run : zero_pages_among(all, manifest.images[0].map)) {
      if (random() % 3 == 0) manifest.hot.zero_runs.push_back(run);
    }
  }
  return manifest;
}

/// The pages of the plan, each once: in the kept extents as the old map has them, or in recipes.
std::set<uint64_t> placed_pages(const Manifest& manifest, const LayoutPlan& plan) {
  const PageMap& map = manifest.images[0].map;
  std::set<uint64_t> placed;
  uint64_t end = 0;
  for (const Extent& extent : plan.kept) {
    RC_ASSERT(extent.page >= end);  // ascending
    end = extent.end();
    for (uint64_t page = extent.page; page < extent.end(); ++page) {
      const PageLocation at = map.locate(page);
      RC_ASSERT(!at.zero && at.chunk == extent.chunk);
      RC_ASSERT(at.slot == extent.slot + (page - extent.page));
      RC_ASSERT(placed.insert(page).second);
    }
  }
  std::set<uint32_t> places;
  for (const ChunkRecipe& recipe : plan.recipes) {
    RC_ASSERT(!recipe.runs.empty());
    RC_ASSERT(count_pages(recipe.runs) <= manifest.clear.chunk_bytes / kPageBytes);
    if (recipe.place) RC_ASSERT(places.insert(*recipe.place).second);
    for (const PageRun& run : recipe.runs) {
      for (uint64_t page = run.page; page < run.end(); ++page) {
        RC_ASSERT(placed.insert(page).second);
      }
    }
  }
  for (const KeptHotChunk& hot : plan.kept_hot) RC_ASSERT(places.insert(hot.place).second);
  return placed;
}

/// No chunk of the memory alone is kept for less than a quarter of its pages.
void must_not_fragment(const Manifest& manifest, const LayoutPlan& plan) {
  std::set<uint32_t> pinned;
  for (const Extent& extent : manifest.images[1].map.extents()) pinned.insert(extent.chunk);
  std::map<uint32_t, uint64_t> live;
  for (const Extent& extent : plan.kept) live[extent.chunk] += extent.count;
  for (const auto& [chunk, pages] : live) {
    RC_ASSERT(pinned.contains(chunk) || pages * 4 >= manifest.clear.chunks[chunk].pages);
  }
}

std::set<uint64_t> set_of(std::span<const PageRun> runs) {
  std::set<uint64_t> pages;
  for (const PageRun& run : runs) {
    for (uint64_t page = run.page; page < run.end(); ++page) pages.insert(page);
  }
  return pages;
}

RC_GTEST_PROP(LayoutPlan, HotAndLinearPlaceEachPageOnce, ()) {
  std::mt19937 random(*rc::gen::arbitrary<uint32_t>());
  const Manifest manifest = random_manifest(random);
  const PageMap& map = manifest.images[0].map;
  const std::set<uint64_t> data = set_of(data_pages_of(map));
  const LayoutPlan linear = plan_linear(manifest);
  RC_ASSERT(placed_pages(manifest, linear) == data);
  RC_ASSERT(linear.kept_hot.empty());

  std::vector<WorkingPage> working_set;
  std::set<uint64_t> recorded;
  for (size_t i = 0; i < map.page_count() / 2; ++i) {
    const auto page = static_cast<uint32_t>(random() % (map.page_count() + 3));
    working_set.push_back({page, static_cast<uint32_t>(i), 1, 0});
    if (page < map.page_count()) recorded.insert(page);
  }
  LayoutOptions options;
  options.stages = {4, 16};
  options.skirt_pages = static_cast<uint32_t>(random() % 4);
  const LayoutPlan hot = plan_hot(manifest, working_set, options);
  RC_ASSERT(placed_pages(manifest, hot) == data);
  RC_ASSERT(set_of(hot.hot_pages) == recorded);
  must_not_fragment(manifest, hot);
  // A hot chunk has recorded pages only, a skirt chunk others that are close to them, and all of
  // those that are not zero are in one.
  std::set<uint64_t> in_hot;
  std::set<uint64_t> in_skirt;
  const auto placed_in = [&](uint32_t place) -> auto& {
    return place < kSkirtPlace ? in_hot : in_skirt;
  };
  for (const ChunkRecipe& recipe : hot.recipes) {
    if (recipe.place) placed_in(*recipe.place).merge(set_of(recipe.runs));
  }
  for (const KeptHotChunk& kept : hot.kept_hot) {
    for (const Extent& extent : hot.kept) {
      if (extent.chunk == kept.chunk) placed_in(kept.place).insert(extent.page);
    }
  }
  for (const uint64_t page : in_hot) RC_ASSERT(recorded.contains(page));
  for (const uint64_t page : in_skirt) RC_ASSERT(!recorded.contains(page));
  for (const uint64_t page : data) {
    const auto near = recorded.lower_bound(page - std::min<uint64_t>(page, options.skirt_pages));
    const bool is_near = near != recorded.end() && *near <= page + options.skirt_pages;
    RC_ASSERT(in_hot.contains(page) == recorded.contains(page));
    RC_ASSERT(in_skirt.contains(page) == (is_near && !recorded.contains(page)));
  }
}

RC_GTEST_PROP(LayoutPlan, ADiffPlacesWhatChangedAndLeavesTheRest, ()) {
  std::mt19937 random(*rc::gen::arbitrary<uint32_t>());
  const Manifest parent = random_manifest(random);
  const PageMap& map = parent.images[0].map;
  std::set<uint64_t> wanted = set_of(data_pages_of(map));
  std::vector<uint32_t> changed;
  std::vector<uint32_t> cleared;
  for (uint32_t page = 0; page < map.page_count(); ++page) {
    const auto fate = random() % 5;
    if (fate == 0) {
      changed.push_back(page);
      wanted.insert(page);
    } else if (fate == 1) {
      cleared.push_back(page);
      wanted.erase(page);
    }
  }
  const LayoutPlan plan = plan_diff(parent, runs_of(changed), runs_of(cleared));
  RC_ASSERT(placed_pages(parent, plan) == wanted);
  RC_ASSERT(plan.layout == parent.clear.layout);
  must_not_fragment(parent, plan);
  const PageRuns dirty = runs_of(changed);
  uint64_t moved = 0;
  uint32_t new_hot = 0;
  for (const ChunkRecipe& recipe : plan.recipes) {
    new_hot += recipe.place.has_value();
    for (const uint64_t page : set_of(recipe.runs)) {
      moved += !contains_page(dirty, page);
      RC_ASSERT(recipe.place.has_value() == contains_page(plan.hot_pages, page));
    }
  }
  RC_ASSERT(moved == plan.moved_pages);
  // Of a changed page no kept extent has the old content.
  for (const Extent& extent : plan.kept) RC_ASSERT(!contains_page(dirty, extent.page));
  // The old hot chunks that stay come behind the new ones, in their order.
  uint32_t last = 0;
  for (const KeptHotChunk& kept : plan.kept_hot) {
    RC_ASSERT(kept.chunk < parent.hot.chunks && kept.place >= new_hot);
    RC_ASSERT(last <= kept.place);
    last = kept.place + 1;
  }
}

}  // namespace
}  // namespace thaw
