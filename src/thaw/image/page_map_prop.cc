// SPDX-License-Identifier: Apache-2.0
//
// The page map against the plainest model of one: an array with the chunk and slot of each page.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "thaw/image/page_map.h"

namespace thaw {
namespace {

constexpr uint32_t kChunks = 5;
constexpr uint32_t kChunkPages = 64;

struct Model {
  uint64_t pages = 0;
  std::vector<Extent> extents;
  std::map<uint64_t, std::pair<uint32_t, uint32_t>> place;  // page -> chunk, slot
};

Model random_model() {
  Model model;
  uint64_t page = 0;
  const auto runs = *rc::gen::inRange(0, 40);
  for (int i = 0; i < runs; ++i) {
    page += *rc::gen::inRange<uint64_t>(0, 5);
    const auto count = *rc::gen::inRange<uint32_t>(1, kChunkPages + 1);
    const auto slot = *rc::gen::inRange<uint32_t>(0, kChunkPages - count + 1);
    const auto chunk = *rc::gen::inRange<uint32_t>(0, kChunks);
    model.extents.push_back({static_cast<uint32_t>(page), chunk, static_cast<uint16_t>(slot),
                             static_cast<uint16_t>(count)});
    for (uint32_t k = 0; k < count; ++k) model.place[page + k] = {chunk, slot + k};
    page += count;
  }
  model.pages = page + *rc::gen::inRange<uint64_t>(1, 5);
  return model;
}

PageMap map_of(const Model& model) {
  const std::vector<uint32_t> chunk_pages(kChunks, kChunkPages);
  Result<PageMap> map = PageMap::make(model.pages, model.extents, chunk_pages);
  RC_ASSERT(map.has_value());
  return std::move(*map);
}

RC_GTEST_PROP(PageMap, LocatesEveryPage, ()) {
  const Model model = random_model();
  const PageMap map = map_of(model);
  RC_ASSERT(map.data_pages() == model.place.size());
  for (uint64_t page = 0; page < model.pages; ++page) {
    const PageLocation location = map.locate(page);
    const auto found = model.place.find(page);
    RC_ASSERT(location.zero == (found == model.place.end()));
    RC_ASSERT(location.count >= 1 && page + location.count <= model.pages);
    if (!location.zero) {
      RC_ASSERT(location.chunk == found->second.first);
      RC_ASSERT(location.slot == found->second.second);
    }
  }
}

RC_GTEST_PROP(PageMap, RunsCoverARangeOnceInOrder, ()) {
  const Model model = random_model();
  const PageMap map = map_of(model);
  const uint64_t begin = *rc::gen::inRange<uint64_t>(0, model.pages);
  const uint64_t count = *rc::gen::inRange<uint64_t>(0, model.pages - begin + 1);
  uint64_t next = begin;
  map.for_each_run(begin, count, [&](uint64_t page, const PageLocation& run) {
    RC_ASSERT(page == next && run.count > 0);
    for (uint64_t k = 0; k < run.count; ++k) {
      const auto found = model.place.find(page + k);
      RC_ASSERT(run.zero == (found == model.place.end()));
      if (!run.zero) RC_ASSERT(found->second == std::make_pair(run.chunk, uint32_t(run.slot + k)));
    }
    next += run.count;
  });
  RC_ASSERT(next == begin + count);
}

RC_GTEST_PROP(PageMap, TheIndexIsTheInverse, ()) {
  const Model model = random_model();
  const PageMap map = map_of(model);
  const ChunkIndex index(map, kChunks);
  size_t seen = 0;
  for (uint32_t chunk = 0; chunk < kChunks; ++chunk) {
    uint64_t after = 0;
    for (const uint32_t at : index.extents_of(chunk)) {
      RC_ASSERT(map.extents()[at].chunk == chunk);
      RC_ASSERT(map.extents()[at].page >= after);
      after = map.extents()[at].end();
      ++seen;
    }
  }
  RC_ASSERT(seen == map.extents().size());
}

RC_GTEST_PROP(PageMap, RefusesEveryBrokenExtent, ()) {
  Model model = random_model();
  RC_PRE(!model.extents.empty());
  Extent& extent = model.extents[*rc::gen::inRange<size_t>(0, model.extents.size())];
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      extent.count = 0;
      break;
    case 1:
      extent.chunk = kChunks;
      break;
    case 2:
      extent.slot = static_cast<uint16_t>(kChunkPages - extent.count + 1);
      break;
    default:
      extent.page = static_cast<uint32_t>(model.pages - extent.count + 1);
      break;
  }
  const std::vector<uint32_t> chunk_pages(kChunks, kChunkPages);
  RC_ASSERT(!PageMap::make(model.pages, model.extents, chunk_pages).has_value());
}

TEST(PageMap, OverlapAndDisorderAreRefused) {
  const std::vector<uint32_t> chunk_pages{64};
  EXPECT_FALSE(PageMap::make(100, {{0, 0, 0, 10}, {9, 0, 10, 5}}, chunk_pages));
  EXPECT_FALSE(PageMap::make(100, {{20, 0, 0, 10}, {0, 0, 10, 5}}, chunk_pages));
  EXPECT_TRUE(PageMap::make(100, {{0, 0, 0, 10}, {10, 0, 0, 10}}, chunk_pages));
}

}  // namespace
}  // namespace thaw
