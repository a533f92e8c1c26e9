// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/strategy.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/resume/resume_image.h"

namespace thaw {
namespace {

struct Word {
  Strategy strategy;
  const char* text;
};
constexpr std::array kWords{Word{Strategy::kOnDemand, "on-demand"}, Word{Strategy::kReap, "reap"},
                            Word{Strategy::kFaasnap, "faasnap"}, Word{Strategy::kChunks, "chunks"},
                            Word{Strategy::kHot, "hot"}};

bool has_hot_set(const Manifest& manifest) {
  return manifest.clear.layout == Layout::kHot && manifest.hot.chunks > 0;
}

Result<std::vector<WorkingPage>> recorded_pages(Strategy strategy, const ResumeImage& image) {
  if (const WorkingSet* set = image.working_set()) return merge_recordings(set->recordings);
  return fail(ErrorCode::kInvalid,
              std::string("strategy '") + to_string(strategy) +
                  "' needs a working set and the snapshot has none: record one with `thaw record`");
}

/// Takes the pages [first, first + count) of the image into the plan: their slots into slices that
/// `slice_for(chunk)` names, zeros as zero runs.
template <typename SliceFor>
void take_pages(const ResumeImage& image, PageRun run, PrefetchPlan& plan, SliceFor&& slice_for) {
  image.map().for_each_run(run.page, run.count, [&](uint64_t page, const PageLocation& location) {
    plan.predicted.set(PageRun{page, location.count});
    if (location.zero) {
      plan.zero_runs.push_back({page, location.count});
    } else {
      plan.slices[slice_for(location.chunk)].runs.push_back(
          {static_cast<uint32_t>(page), location.slot, static_cast<uint32_t>(location.count)});
    }
  });
}

/// Slices by chunk, in the order in which chunks are first asked for.
class SliceTable {
 public:
  explicit SliceTable(PrefetchPlan& plan) : plan_(plan) {}
  size_t operator()(uint32_t chunk) {
    const auto [entry, inserted] = index_.try_emplace(chunk, plan_.slices.size());
    if (inserted) plan_.slices.push_back({chunk, {}});
    return entry->second;
  }

 private:
  PrefetchPlan& plan_;
  std::unordered_map<uint32_t, size_t> index_;
};

/// Joins neighbours of a sorted vector: `join(a, b)` makes a take b in if they belong together.
template <typename Run, typename Join>
void join_neighbours(std::vector<Run>& runs, Join&& join) {
  size_t kept = 0;
  for (const Run& run : runs) {
    if (kept == 0 || !join(runs[kept - 1], run)) runs[kept++] = run;
  }
  runs.resize(kept);
}

/// Each run is installed with one call, so what belongs together becomes one.
void sort_runs(PrefetchPlan& plan) {
  for (Slice& slice : plan.slices) {
    std::ranges::sort(slice.runs, {}, &SlotRun::slot);
    join_neighbours(slice.runs, [](SlotRun& a, const SlotRun& b) {
      const bool follows = a.page + a.count == b.page && a.slot + a.count == b.slot;
      if (follows) a.count += b.count;
      return follows;
    });
  }
  std::ranges::sort(plan.zero_runs, {}, &PageRun::page);
  join_neighbours(plan.zero_runs, [](PageRun& a, const PageRun& b) {
    const bool follows = a.end() == b.page;
    if (follows) a.count += b.count;
    return follows;
  });
}

void take_pack(const Pack& pack, PrefetchPlan& plan) {
  plan.pack = &pack;
  plan.slices.resize(pack.chunks.size());
  for (uint32_t chunk = 0; chunk < pack.chunks.size(); ++chunk) plan.slices[chunk].chunk = chunk;
  for (const Extent& extent : pack.extents) {
    plan.slices[extent.chunk].runs.push_back({extent.page, extent.slot, extent.count});
    plan.predicted.set(PageRun{extent.page, extent.count});
  }
}

/// The recorded pages that no chunk holds: a pack has none of them either.
void take_zeros(const ResumeImage& image, std::span<const WorkingPage> pages, PrefetchPlan& plan) {
  for (const WorkingPage& page : pages) {
    if (!image.map().locate(page.page).zero) continue;
    plan.zero_runs.push_back({page.page, 1});
    plan.predicted.set(uint64_t{page.page});
  }
}

Result<void> plan_reap(const ResumeImage& image, PrefetchPlan& plan) {
  ASSIGN_OR_RETURN(const auto pages, recorded_pages(Strategy::kReap, image));
  plan.hold_guest = true;
  if (const Pack* pack = image.working_set()->find(PackKind::kReap)) {
    take_pack(*pack, plan);
    take_zeros(image, pages, plan);
  } else {
    SliceTable slices(plan);
    for (const WorkingPage& page : pages) take_pages(image, {page.page, 1}, plan, slices);
  }
  sort_runs(plan);
  return {};
}

Result<void> plan_faasnap(const ResumeImage& image, PrefetchPlan& plan) {
  ASSIGN_OR_RETURN(const auto pages, recorded_pages(Strategy::kFaasnap, image));
  if (const Pack* pack = image.working_set()->find(PackKind::kFaasnap)) {
    take_pack(*pack, plan);
    take_zeros(image, pages, plan);
    sort_runs(plan);
    return {};
  }
  for (size_t begin = 0; begin < pages.size(); begin += kFaasnapGroupPages) {
    const size_t end = std::min(begin + kFaasnapGroupPages, pages.size());
    std::vector<uint32_t> group;
    for (size_t i = begin; i < end; ++i) group.push_back(pages[i].page);
    std::ranges::sort(group);
    SliceTable slices(plan);  // anew for each group: a chunk may come again
    for (size_t i = 0; i < group.size();) {
      // A region: pages whose gaps are short enough to be loaded along. Pages of an earlier group
      // are in the plan already.
      size_t last = i;
      while (last + 1 < group.size() && group[last + 1] - group[last] <= kFaasnapGapPages + 1) {
        ++last;
      }
      for (uint64_t page = group[i]; page <= group[last]; ++page) {
        if (!plan.predicted.test(page)) take_pages(image, {page, 1}, plan, slices);
      }
      i = last + 1;
    }
  }
  sort_runs(plan);
  return {};
}

/// A chunk brings all its pages, whoever asked for it.
void take_chunk(const ResumeImage& image, uint32_t chunk, PrefetchPlan& plan) {
  plan.chunks.push_back(chunk);
  for (const SlotRun& run : image.slots_of(chunk)) {
    plan.predicted.set(PageRun{run.page, run.count});
  }
}

Result<void> plan_chunks(const ResumeImage& image, PrefetchPlan& plan) {
  ASSIGN_OR_RETURN(const auto pages, recorded_pages(Strategy::kChunks, image));
  for (const WorkingPage& page : pages) {
    if (plan.predicted.test(page.page)) continue;
    const PageLocation location = image.map().locate(page.page);
    if (!location.zero) take_chunk(image, location.chunk, plan);
  }
  return {};
}

/// On another layout than hot: the recorded chunks in order of first access, and recorded zeros.
Result<void> plan_hot(const ResumeImage& image, PrefetchPlan& plan) {
  const Manifest& manifest = image.manifest();
  if (!has_hot_set(manifest)) {
    TRY(plan_chunks(image, plan));
    take_zeros(image, merge_recordings(image.working_set()->recordings), plan);
    sort_runs(plan);
    return {};
  }
  for (uint32_t chunk = 0; chunk < manifest.hot.chunks; ++chunk) {
    if (!image.extents_of(chunk).empty()) take_chunk(image, chunk, plan);
  }
  for (uint32_t i = 0; i < manifest.hot.skirt_chunks; ++i) {
    plan.near.push_back(manifest.hot.chunks + i);
  }
  plan.zero_runs = manifest.hot.zero_runs;
  for (const PageRun& run : plan.zero_runs) plan.predicted.set(run);
  return {};
}

}  // namespace

const char* to_string(Strategy strategy) {
  for (const Word& word : kWords) {
    if (word.strategy == strategy) return word.text;
  }
  return "unknown";
}

std::optional<Strategy> parse_strategy(std::string_view word) {
  for (const Word& known : kWords) {
    if (known.text == word) return known.strategy;
  }
  return std::nullopt;
}

Strategy default_strategy(const ResumeImage& image) {
  if (has_hot_set(image.manifest())) return Strategy::kHot;
  return image.working_set() != nullptr ? Strategy::kChunks : Strategy::kOnDemand;
}

bool uses_working_set(std::optional<Strategy> strategy, const Manifest& manifest) {
  if (strategy == Strategy::kOnDemand) return false;
  const bool hot = !strategy || strategy == Strategy::kHot;
  return !hot || !has_hot_set(manifest);
}

Result<PrefetchPlan> plan_prefetch(Strategy strategy, const ResumeImage& image) {
  PrefetchPlan plan(image.map().page_count());
  switch (strategy) {
    case Strategy::kOnDemand:
      break;
    case Strategy::kReap:
      TRY(plan_reap(image, plan));
      break;
    case Strategy::kFaasnap:
      TRY(plan_faasnap(image, plan));
      break;
    case Strategy::kChunks:
      TRY(plan_chunks(image, plan));
      break;
    case Strategy::kHot:
      TRY(plan_hot(image, plan));
      break;
  }
  return plan;
}

}  // namespace thaw
