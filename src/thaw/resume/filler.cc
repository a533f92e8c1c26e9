// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/filler.h"

#include <algorithm>

#include "thaw/tier/page_reader.h"

namespace thaw {

ChunkRequest Fetches::request(const Manifest& manifest, uint32_t chunk, Priority priority) const {
  ChunkRequest request = request_for(manifest, chunk, priority);
  request.flow = reinterpret_cast<uintptr_t>(this);
  request.deadline = deadline_in(time_max_);
  return request;
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
  const PlaceResult first = memory.place_faulting(page, nullptr);
  if (first.placed != Placed::kDone || memory.is_removed(page) || memory.unit_pages() > 1) {
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
