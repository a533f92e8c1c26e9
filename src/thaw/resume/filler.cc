// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/filler.h"

#include <algorithm>

namespace thaw {

ChunkRequest Fetches::request(uint64_t root_id, const ChunkEntry& chunk, Priority priority) const {
  return {.root_id = root_id,
          .id = chunk.id,
          .pages = chunk.pages,
          .priority = priority,
          .flow = reinterpret_cast<uintptr_t>(this),
          .deadline = deadline_in(time_max_)};
}

void Fetches::end() {
  last_end_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  under_way_.fetch_sub(1, std::memory_order_release);
}

bool Fetches::quiet_for(std::chrono::milliseconds time) const {
  if (under_way_.load(std::memory_order_acquire) != 0) return false;
  const Clock::time_point last{Clock::duration(last_end_.load(std::memory_order_relaxed))};
  return Clock::now() - last >= time;
}

PlaceResult place_zero_fault(const ResumeImage& image, GuestMemory& memory, uint64_t page,
                             uint64_t window_pages) {
  // Of a page that came while its fault was on its way, the neighbours were looked after then.
  const bool came = memory.is_present(page);
  const PlaceResult first = memory.place_faulting(page, nullptr);
  if (first.placed != Placed::kDone || came || memory.is_removed(page) || memory.unit_pages() > 1) {
    return first;
  }
  const PageLocation location = image.map().locate(page);
  const uint64_t window_end = align_down(page, window_pages) + window_pages;
  const uint64_t end = std::min(page + location.count, window_end);
  if (!location.zero || page + 1 >= end) return first;
  // The guest runs on already; what becomes of the neighbours is not worth a retry.
  const PlaceResult rest = memory.place_zero({page + 1, end - page - 1});
  return rest.placed == Placed::kGone ? rest : first;
}

bool wake_stale(GuestMemory& memory, uint64_t page, FillCounters& counters) {
  if (!memory.is_present(page)) return false;
  counters.stale.fetch_add(1, std::memory_order_relaxed);
  memory.forget_present(page);
  memory.wake(page);
  return true;
}

std::optional<PlaceResult> place_plain_fault(const FillContext& context, uint64_t page,
                                             FillCounters& counters) {
  const std::byte* const plain =
      context.plain != nullptr ? context.plain->find_page(page) : nullptr;
  if (plain == nullptr) return std::nullopt;
  counters.hits.fetch_add(1, std::memory_order_relaxed);
  counters.plain_hits.fetch_add(1, std::memory_order_relaxed);
  return context.memory.place_faulting(page, plain);
}

bool settle(FillHost& host, uint64_t page, const PlaceResult& result, std::function<void()> again) {
  switch (result.placed) {
    case Placed::kDone:
      return true;
    case Placed::kAgain:
      host.retry(std::move(again));
      return false;
    case Placed::kGone:
      host.vmm_gone();
      return false;
    case Placed::kFailed:
      host.fail_closed(page,
                       errno_error("the kernel does not install the page", result.error_number));
      return false;
  }
  return false;
}

}  // namespace thaw
