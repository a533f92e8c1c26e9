// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/touch_plan.h"

#include <algorithm>
#include <random>
#include <tuple>

#include "thaw/base/check.h"
#include "thaw/base/units.h"

namespace thaw {

GuestLayout::GuestLayout(std::vector<ReplayRegion> regions, uint64_t page_bytes)
    : regions_(std::move(regions)),
      page_bytes_(page_bytes),
      pages_in_vmm_page_(page_bytes / kPageBytes) {
  for (const ReplayRegion& region : regions_) {
    first_pages_.push_back(page_count_);
    page_count_ += region.bytes / kPageBytes;
  }
}

size_t GuestLayout::region_of(uint64_t guest_page) const {
  DCHECK(guest_page < page_count_);
  size_t region = regions_.size() - 1;
  while (guest_page < first_pages_[region]) --region;
  return region;
}

uint64_t GuestLayout::image_page_of(uint64_t guest_page) const {
  const size_t region = region_of(guest_page);
  return regions_[region].offset / kPageBytes + (guest_page - first_pages_[region]);
}

std::optional<uint64_t> GuestLayout::guest_page_of(uint64_t image_page) const {
  for (size_t i = 0; i < regions_.size(); ++i) {
    const uint64_t begin = regions_[i].offset / kPageBytes;
    if (image_page >= begin && image_page - begin < regions_[i].bytes / kPageBytes) {
      return first_pages_[i] + (image_page - begin);
    }
  }
  return std::nullopt;
}

unsigned owner_of(const GuestLayout& layout, uint64_t guest_page, unsigned threads) {
  return static_cast<unsigned>(layout.vmm_page_of(guest_page) / kOwnedRunPages % threads);
}

namespace {

// std::mt19937_64 is the same everywhere, the standard distributions are not; the bias of a
// remainder does not matter here.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t bound) { return engine_() % bound; }

 private:
  std::mt19937_64 engine_;
};

struct Change {
  uint64_t after_touches;
  TouchStep::Kind kind;
  uint64_t page;  // guest pages, whole VMM pages
  uint64_t count;
  size_t order = 0;
};

std::vector<TouchStep> pattern_touches(const ReplayTouching& touching, uint64_t page_count,
                                       Dice& dice) {
  std::vector<TouchStep> steps;
  if (touching.order == ReplayTouching::Order::kRepeats) {
    steps.resize(touching.touches);
    for (TouchStep& step : steps) step.page = dice.below(page_count);
  } else if (touching.order != ReplayTouching::Order::kNone) {
    steps.resize(page_count);
    for (uint64_t page = 0; page < page_count; ++page) steps[page].page = page;
    if (touching.order == ReplayTouching::Order::kPermutation) {
      for (uint64_t i = page_count; i > 1; --i) std::swap(steps[i - 1], steps[dice.below(i)]);
    }
  }
  for (TouchStep& step : steps) {
    if (dice.below(100) < touching.write_percent) step.kind = TouchStep::Kind::kWrite;
  }
  return steps;
}

Result<std::vector<TouchStep>> trace_touches(const ReplayTouching& touching,
                                             const GuestLayout& layout) {
  std::vector<TouchStep> steps;
  steps.reserve(touching.trace.events.size());
  uint64_t due_ns = 0;
  for (const TraceEvent& event : touching.trace.events) {
    const auto page = layout.guest_page_of(event.page);
    if (!page) {
      return fail(ErrorCode::kInvalid, "the trace touches page " + std::to_string(event.page) +
                                           ", which no region shows");
    }
    if (touching.replay_gaps) due_ns += event.gap_ns;
    steps.push_back(
        {event.write ? TouchStep::Kind::kWrite : TouchStep::Kind::kRead, *page, 1, due_ns});
  }
  return steps;
}

// Every page that no step touches, in order of address.
void add_untouched(std::vector<TouchStep>& steps, uint64_t page_count) {
  std::vector<bool> touched(page_count, false);
  for (const TouchStep& step : steps) touched[step.page] = true;
  const uint64_t due_ns = steps.empty() ? 0 : steps.back().due_ns;
  for (uint64_t page = 0; page < page_count; ++page) {
    if (!touched[page]) steps.push_back({TouchStep::Kind::kRead, page, 1, due_ns});
  }
}

TouchStep::Kind step_kind(ReplayMapChange::Kind kind) {
  switch (kind) {
    case ReplayMapChange::Kind::kRemove:
      return TouchStep::Kind::kRemove;
    case ReplayMapChange::Kind::kRemoveByMap:
      return TouchStep::Kind::kRemoveByMap;
    case ReplayMapChange::Kind::kUnmap:
      return TouchStep::Kind::kUnmap;
  }
  return TouchStep::Kind::kRemove;
}

// A run of image pages may lie in several regions, which need not be neighbours in the guest.
Result<void> add_change(const ReplayMapChange& change, const GuestLayout& layout,
                        std::vector<Change>& out) {
  const uint64_t unit = layout.pages_in_vmm_page();
  uint64_t image_page = align_down(change.page, unit);
  const uint64_t end = change.page + change.count;
  while (image_page < end) {
    const auto page = layout.guest_page_of(image_page);
    if (!page) {
      return fail(ErrorCode::kInvalid,
                  "a change names page " + std::to_string(image_page) + ", which no region shows");
    }
    out.push_back({change.after_touches, step_kind(change.kind), *page, unit});
    image_page += unit;
  }
  return {};
}

// The pieces of a change that stand side by side in one region and have one owner become one step.
void add_steps(std::vector<Change>::const_iterator& next, std::vector<Change>::const_iterator end,
               uint64_t touches_done, const GuestLayout& layout, TouchPlan& plan) {
  for (; next != end && next->after_touches <= touches_done; ++next) {
    const unsigned owner = owner_of(layout, next->page, static_cast<unsigned>(plan.size()));
    std::vector<TouchStep>& steps = plan[owner];
    TouchStep* last = steps.empty() ? nullptr : &steps.back();
    if (last != nullptr && last->kind == next->kind && last->page + last->count == next->page &&
        layout.region_of(last->page) == layout.region_of(next->page)) {
      last->count += next->count;
    } else {
      const uint64_t due_ns = last == nullptr ? 0 : last->due_ns;
      steps.push_back({next->kind, next->page, next->count, due_ns});
    }
  }
}

}  // namespace

Result<TouchPlan> make_touch_plan(const ReplayVmmOptions& options, const GuestLayout& layout) {
  Dice dice(options.touching.seed);
  std::vector<TouchStep> touches;
  if (options.touching.order == ReplayTouching::Order::kTrace) {
    ASSIGN_OR_RETURN(touches, trace_touches(options.touching, layout));
  } else {
    touches = pattern_touches(options.touching, layout.page_count(), dice);
  }
  if (options.touching.every_page) add_untouched(touches, layout.page_count());

  std::vector<Change> changes;
  for (const ReplayMapChange& change : options.changes) TRY(add_change(change, layout, changes));
  const uint64_t unit = layout.pages_in_vmm_page();
  for (uint64_t i = 0; i < options.random_removes; ++i) {
    const uint64_t moment = dice.below(touches.size() + 1);
    const uint64_t first = align_down(dice.below(layout.page_count()), unit);
    const uint64_t count = 1 + dice.below(options.random_remove_pages_max);
    for (uint64_t page = first; page < std::min(first + count * unit, layout.page_count());
         page += unit) {
      changes.push_back({moment, TouchStep::Kind::kRemove, page, unit});
    }
  }
  // Changes of one moment keep their order.
  for (size_t i = 0; i < changes.size(); ++i) changes[i].order = i;
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::tie(a.after_touches, a.order) < std::tie(b.after_touches, b.order);
  });

  TouchPlan plan(options.touching.threads);
  auto next = changes.cbegin();
  for (uint64_t i = 0; i < touches.size(); ++i) {
    add_steps(next, changes.cend(), i, layout, plan);
    plan[owner_of(layout, touches[i].page, options.touching.threads)].push_back(touches[i]);
  }
  add_steps(next, changes.cend(), kNever, layout, plan);
  return plan;
}

}  // namespace thaw
