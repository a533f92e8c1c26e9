// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/filler.h"

#include <algorithm>

namespace thaw {

PlaceResult place_zero_fault(const ResumeImage& image, GuestMemory& memory, uint64_t page) {
  const PlaceResult first = memory.place_faulting(page, nullptr);
  if (first.placed != Placed::kDone || memory.is_removed(page) || memory.unit_pages() > 1) {
    return first;
  }
  const PageLocation location = image.map().locate(page);
  const uint64_t window_end = align_down(page, kZeroWindowPages) + kZeroWindowPages;
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
