// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/layout_plan.h"

#include <algorithm>
#include <tuple>

#include "thaw/base/check.h"

namespace thaw {
namespace {

uint64_t capacity_of(const Manifest& manifest) { return manifest.clear.chunk_bytes / kPageBytes; }

const PageMap& memory_of(const Manifest& manifest) {
  const Image* memory = manifest.find(ImageKind::kMemory);
  CHECK(memory != nullptr);
  return memory->map;
}

/// The parts of `extents` inside `pages`, or outside of them.
std::vector<Extent> clip(std::span<const Extent> extents, std::span<const PageRun> pages) {
  std::vector<Extent> clipped;
  for (const Extent& extent : extents) {
    while (!pages.empty() && pages.front().end() <= extent.page) pages = pages.subspan(1);
    for (size_t i = 0; i < pages.size() && pages[i].page < extent.end(); ++i) {
      const uint64_t begin = std::max<uint64_t>(pages[i].page, extent.page);
      const uint64_t end = std::min(pages[i].end(), extent.end());
      clipped.push_back({static_cast<uint32_t>(begin), extent.chunk,
                         static_cast<uint16_t>(extent.slot + (begin - extent.page)),
                         static_cast<uint16_t>(end - begin)});
    }
  }
  return clipped;
}

std::vector<Extent> cut_out(const PageMap& map, std::span<const PageRun> pages) {
  return clip(map.extents(), subtract(data_pages_of(map), pages));
}

/// The recorded pages inside the memory, in order of rank, each once.
std::vector<uint32_t> pages_by_rank(std::span<const WorkingPage> working_set, uint64_t page_count) {
  std::vector<uint32_t> pages;
  std::vector<bool> seen(static_cast<size_t>(page_count));
  for (const WorkingPage& page : working_set) {
    if (page.page >= page_count || seen[page.page]) continue;
    seen[page.page] = true;
    pages.push_back(page.page);
  }
  return pages;
}

/// The chunk whose pages are exactly those of `runs`, slot by slot, if there is one.
std::optional<uint32_t> chunk_that_holds(const Manifest& manifest, const PageMap& map,
                                         std::span<const PageRun> runs) {
  std::optional<uint32_t> chunk;
  uint64_t slot = 0;
  bool equal = true;
  for (const PageRun& run : runs) {
    map.for_each_run(run.page, run.count, [&](uint64_t, const PageLocation& location) {
      equal = equal && !location.zero && location.slot == slot &&
              chunk.value_or(location.chunk) == location.chunk;
      chunk = location.chunk;
      slot += location.count;
    });
  }
  if (!equal || !chunk || manifest.clear.chunks[*chunk].pages != slot) return std::nullopt;
  return chunk;
}

/// Which slots of the old chunks the new manifest still uses.
class ChunkUse {
 public:
  explicit ChunkUse(const Manifest& manifest) : manifest_(manifest) {
    uint64_t slots = 0;
    for (const ChunkEntry& chunk : manifest.clear.chunks) {
      begins_.push_back(slots);
      slots += chunk.pages;
    }
    used_.resize(static_cast<size_t>(slots));
    live_.resize(manifest.clear.chunks.size());
    pinned_.resize(manifest.clear.chunks.size());
    // What other images use cannot be given up here, so nothing is gained by moving pages out.
    for (const Image& image : manifest.images) {
      if (image.kind == ImageKind::kMemory) continue;
      for (const Extent& extent : image.map.extents()) pinned_[extent.chunk] = true;
    }
  }

  void add(const Extent& extent) {
    for (uint64_t slot = extent.slot; slot < uint64_t{extent.slot} + extent.count; ++slot) {
      const size_t at = static_cast<size_t>(begins_[extent.chunk] + slot);
      live_[extent.chunk] += !used_[at];
      used_[at] = true;
    }
  }

  bool is_fragment(uint32_t chunk, double live_share_min) const {
    return !pinned_[chunk] &&
           static_cast<double>(live_[chunk]) <
               live_share_min * static_cast<double>(manifest_.clear.chunks[chunk].pages);
  }

 private:
  const Manifest& manifest_;
  std::vector<uint64_t> begins_;
  std::vector<bool> used_;
  std::vector<uint32_t> live_;
  std::vector<bool> pinned_;
};

/// Moves the extents of chunks that are hardly used any more out of `kept`; the pages they had.
PageRuns give_up_fragments(const Manifest& manifest, const LayoutOptions& options,
                           std::vector<Extent>& kept) {
  ChunkUse use(manifest);
  for (const Extent& extent : kept) use.add(extent);
  PageRuns moved;
  std::erase_if(kept, [&](const Extent& extent) {
    if (!use.is_fragment(extent.chunk, options.live_share_min)) return false;
    append_run(moved, {extent.page, extent.count});
    return true;
  });
  return moved;
}

void sort_by_page(std::vector<Extent>& extents) { std::ranges::sort(extents, {}, &Extent::page); }

void add_recipes(LayoutPlan& plan, std::vector<PageRuns> chunks) {
  for (PageRuns& runs : chunks) plan.recipes.push_back({std::move(runs), std::nullopt});
}

void add_hot_recipes(LayoutPlan& plan, std::vector<PageRuns> chunks, uint32_t place = 0) {
  for (PageRuns& runs : chunks) plan.recipes.push_back({std::move(runs), place++});
}

/// The pages of `data` that are close to recorded ones and not recorded themselves.
PageRuns skirt_of(std::span<const PageRun> recorded, std::span<const PageRun> data,
                  uint64_t distance) {
  PageRuns near;
  for (const PageRun& run : recorded) {
    const uint64_t begin = run.page - std::min(run.page, distance);
    const uint64_t free = near.empty() ? begin : std::max(begin, near.back().end());
    if (free < run.end() + distance) append_run(near, {free, run.end() + distance - free});
  }
  return intersect(subtract(near, recorded), data);
}

/// Where a page stands in the order of loading.
struct HotPlace {
  uint32_t chunk = 0;
  uint32_t slot = 0;
  uint32_t page = 0;
  auto operator<=>(const HotPlace&) const = default;
};

PageRuns hot_pages_of(const Manifest& manifest) {
  if (manifest.clear.layout != Layout::kHot) return {};
  PageRuns pages;
  for (const Extent& extent : memory_of(manifest).extents()) {
    if (extent.chunk < manifest.hot.chunks) append_run(pages, {extent.page, extent.count});
  }
  return unite(pages, manifest.hot.zero_runs);
}

/// The pages in the order in which `manifest` loads them; those that were zero at the end.
std::vector<uint32_t> in_hot_order(const Manifest& manifest, std::span<const PageRun> pages) {
  const PageMap& map = memory_of(manifest);
  std::vector<HotPlace> places;
  for (const PageRun& run : pages) {
    for (uint64_t page = run.page; page < run.end(); ++page) {
      const PageLocation location = map.locate(page);
      places.push_back({location.zero ? UINT32_MAX : location.chunk, location.slot,
                        static_cast<uint32_t>(page)});
    }
  }
  std::ranges::sort(places);
  std::vector<uint32_t> ordered;
  for (const HotPlace& place : places) ordered.push_back(place.page);
  return ordered;
}

}  // namespace

bool LayoutPlan::changes_nothing(const Manifest& manifest) const {
  if (layout != manifest.clear.layout || !recipes.empty()) return false;
  if (!std::ranges::equal(kept, memory_of(manifest).extents())) return false;
  uint32_t next = 0;  // chunks that are equal stand in the table once, where the first one is due
  for (const KeptHotChunk& hot : kept_hot) {
    if (hot.chunk > next) return false;
    next += hot.chunk == next;
  }
  if (next != uint64_t{manifest.hot.chunks} + manifest.hot.skirt_chunks) return false;
  return layout == Layout::kLinear ||
         zero_pages_among(hot_pages, memory_of(manifest)) == manifest.hot.zero_runs;
}

LayoutPlan plan_hot(const Manifest& manifest, std::span<const WorkingPage> working_set,
                    const LayoutOptions& options) {
  const PageMap& map = memory_of(manifest);
  LayoutPlan plan;
  plan.layout = Layout::kHot;
  std::vector<uint32_t> order = pages_by_rank(working_set, map.page_count());
  plan.hot_pages = runs_of(order);
  std::erase_if(order, [&](uint32_t page) { return map.locate(page).zero; });
  const PageRuns hot = runs_of(order);

  const PageRuns skirt = skirt_of(plan.hot_pages, data_pages_of(map), options.skirt_pages);

  std::vector<Extent> hot_kept;
  const auto place_chunks = [&](std::vector<PageRuns> chunks, uint32_t place) {
    for (PageRuns& runs : chunks) {
      if (const auto chunk = chunk_that_holds(manifest, map, runs)) {
        plan.kept_hot.push_back({*chunk, place++});
        const std::vector<Extent> stays = clip(map.extents(), runs);
        hot_kept.insert(hot_kept.end(), stays.begin(), stays.end());
      } else {
        plan.moved_pages += count_pages(runs);
        plan.recipes.push_back({std::move(runs), place++});
      }
    }
  };
  place_chunks(plan_stages(order, capacity_of(manifest), options.stages), 0);
  place_chunks(pack_densely(skirt, capacity_of(manifest)), kSkirtPlace);
  // A chunk that stays hot keeps its dead slots' neighbours too: the cold pages are judged by all
  // that is left of their chunk.
  plan.kept = cut_out(map, unite(hot, skirt));
  plan.kept.insert(plan.kept.end(), hot_kept.begin(), hot_kept.end());
  sort_by_page(plan.kept);
  const PageRuns moved = give_up_fragments(manifest, options, plan.kept);
  plan.moved_pages += count_pages(moved);
  add_recipes(plan, cut_windows(moved, capacity_of(manifest)));
  return plan;
}

LayoutPlan plan_linear(const Manifest& manifest) {
  const PageMap& map = memory_of(manifest);
  LayoutPlan plan;
  PageRuns stays;
  for (PageRuns& runs : cut_windows(data_pages_of(map), capacity_of(manifest))) {
    if (chunk_that_holds(manifest, map, runs)) {
      for (const PageRun& run : runs) append_run(stays, run);
    } else {
      plan.moved_pages += count_pages(runs);
      plan.recipes.push_back({std::move(runs), std::nullopt});
    }
  }
  plan.kept = clip(map.extents(), stays);
  return plan;
}

LayoutPlan plan_diff(const Manifest& parent, std::span<const PageRun> changed,
                     std::span<const PageRun> cleared, const LayoutOptions& options) {
  const PageMap& map = memory_of(parent);
  LayoutPlan plan;
  plan.layout = parent.clear.layout;
  plan.hot_pages = hot_pages_of(parent);
  plan.kept = cut_out(map, unite(changed, cleared));
  const PageRuns moved = give_up_fragments(parent, options, plan.kept);
  plan.moved_pages = count_pages(moved);

  const PageRuns written = unite(changed, moved);
  const PageRuns hot = intersect(written, plan.hot_pages);
  add_hot_recipes(plan,
                  plan_stages(in_hot_order(parent, hot), capacity_of(parent), options.stages));
  const uint32_t new_hot = static_cast<uint32_t>(plan.recipes.size());
  std::vector<bool> stays(parent.clear.chunks.size());
  for (const Extent& extent : plan.kept) stays[extent.chunk] = true;
  for (uint32_t chunk = 0; chunk < parent.hot.chunks + parent.hot.skirt_chunks; ++chunk) {
    if (!stays[chunk]) continue;
    plan.kept_hot.push_back(
        {chunk, chunk < parent.hot.chunks ? new_hot + chunk : kSkirtPlace + chunk});
  }
  add_recipes(plan, pack_densely(subtract(written, plan.hot_pages), capacity_of(parent)));
  return plan;
}

LayoutPlan plan_fresh_hot(std::span<const PageRun> data, std::span<const WorkingPage> working_set,
                          std::span<const PageRun> nonzero, uint64_t page_count,
                          uint64_t capacity_pages, const LayoutOptions& options) {
  LayoutPlan plan;
  plan.layout = Layout::kHot;
  std::vector<uint32_t> order = pages_by_rank(working_set, page_count);
  plan.hot_pages = runs_of(order);
  std::erase_if(order, [&](uint32_t page) { return !contains_page(nonzero, page); });
  add_hot_recipes(plan, plan_stages(order, capacity_pages, options.stages));
  // Beyond the recorded pages it is not known yet which are zero: those are left out as they are
  // read.
  const PageRuns skirt = skirt_of(plan.hot_pages, data, options.skirt_pages);
  add_hot_recipes(plan, pack_densely(skirt, capacity_pages), kSkirtPlace);
  add_recipes(plan, cut_windows(subtract(data, unite(runs_of(order), skirt)), capacity_pages));
  return plan;
}

}  // namespace thaw
