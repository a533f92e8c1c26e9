// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/guest_memory.h"

#include <algorithm>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/stage_clock.h"

namespace thaw {

GuestMemory::GuestMemory(Uffd uffd, RegionMap regions, uint64_t image_pages, StageTimes* stages)
    : uffd_(std::move(uffd)),
      regions_(std::move(regions)),
      present_(image_pages),
      removed_(image_pages),
      stages_(stages) {
  if (unit_pages() > 1) {
    zeros_ = AlignedBuffer(regions_.page_bytes());
    std::memset(zeros_.data(), 0, zeros_.size());
  }
}

void GuestMemory::remove(uint64_t begin, uint64_t end) {
  for (const PageRun run : regions_.pages_in(begin, end)) {
    removed_.set(run);
    present_.clear(run);
    counters_.pages_removed.fetch_add(run.count, std::memory_order_relaxed);
  }
}

InstallOutcome GuestMemory::install_zero(uint64_t address, uint64_t bytes, Wake wake) {
  if (zeros_.size() == 0) return uffd_.zero(address, bytes, wake);
  DCHECK(bytes <= zeros_.size());
  return uffd_.copy(address, zeros_.data(), bytes, wake);
}

// Installs a run none of whose pages is skipped. `install(address, done_pages, bytes)` does one
// ioctl.
template <typename Install>
PlaceResult GuestMemory::place_present_run(PageRun run, std::atomic<uint64_t>& counter,
                                           Install&& install) {
  const StageClock clock(stages_ ? &stages_->install_ns : nullptr);
  const uint64_t unit = unit_pages();
  uint64_t step = run.count;
  uint64_t done = 0;
  while (done < run.count) {
    const RegionMap::Place place = regions_.place_of(run.page + done);
    const uint64_t pages = std::min({run.count - done, place.pages, step});
    const InstallOutcome outcome = install(place.address, done, pages * kPageBytes);
    switch (outcome.status) {
      case InstallStatus::kDone:
      case InstallStatus::kPartial: {
        const uint64_t installed = outcome.installed_bytes / kPageBytes;
        present_.set(PageRun{run.page + done, installed});
        counter.fetch_add(installed, std::memory_order_relaxed);
        done += installed;
        break;
      }
      case InstallStatus::kExists:
        // Somebody else installed it; a thread may have gone to sleep on it in between.
        uffd_.wake(place.address, unit * kPageBytes);
        present_.set(PageRun{run.page + done, unit});
        counters_.already_present.fetch_add(1, std::memory_order_relaxed);
        done += unit;
        break;
      case InstallStatus::kUnmapped:
        // The kernel refuses a range as a whole if any part of it is no longer registered memory,
        // so the rest of the run goes unit by unit: a guest thread may wait for a page beside the
        // hole.
        if (pages > unit) {
          step = unit;
          break;
        }
        // The VMM unmapped or unregistered this one, and nobody can wait for it.
        counters_.unmapped.fetch_add(1, std::memory_order_relaxed);
        done += unit;
        break;
      case InstallStatus::kAgain:
        counters_.again.fetch_add(1, std::memory_order_relaxed);
        return {Placed::kAgain, 0};
      case InstallStatus::kGone:
        return {Placed::kGone, 0};
      case InstallStatus::kFailed:
        return {Placed::kFailed, outcome.error_number};
    }
  }
  return {};
}

// Splits the run at pages that are to be skipped and installs what is between them.
template <typename Skip, typename Install>
PlaceResult GuestMemory::place_unless(PageRun run, std::atomic<uint64_t>& counter, Skip&& skip,
                                      Install&& install) {
  const uint64_t unit = unit_pages();
  DCHECK(run.page % unit == 0 && run.count % unit == 0);
  uint64_t page = run.page;
  while (page < run.end()) {
    if (skip(page)) {
      page += unit;
      continue;
    }
    uint64_t end = page + unit;
    while (end < run.end() && !skip(end)) end += unit;
    const uint64_t before = page - run.page;
    const PlaceResult result = place_present_run(
        {page, end - page}, counter, [&](uint64_t address, uint64_t done, uint64_t bytes) {
          return install(address, before + done, bytes);
        });
    if (result.placed != Placed::kDone) return result;
    page = end;
  }
  return {};
}

PlaceResult GuestMemory::place(PageRun run, const std::byte* plain, Wake wake) {
  return place_unless(
      run, counters_.pages_copied,
      [&](uint64_t page) { return present_.test(page) || removed_.test(page); },
      [&](uint64_t address, uint64_t page, uint64_t bytes) {
        return uffd_.copy(address, plain + page * kPageBytes, bytes, wake);
      });
}

PlaceResult GuestMemory::place_zero(PageRun run, Wake wake) {
  const uint64_t bytes_max = zeros_.size() == 0 ? UINT64_MAX : zeros_.size();
  return place_unless(
      run, counters_.pages_zeroed, [&](uint64_t page) { return present_.test(page); },
      [&](uint64_t address, uint64_t, uint64_t bytes) {
        return install_zero(address, std::min(bytes, bytes_max), wake);
      });
}

PlaceResult GuestMemory::place_faulting(uint64_t unit_page, const std::byte* plain) {
  const PageRun run{unit_page, unit_pages()};
  if (plain == nullptr || removed_.test(unit_page)) {
    return place_present_run(run, counters_.pages_zeroed,
                             [&](uint64_t address, uint64_t, uint64_t bytes) {
                               return install_zero(address, bytes, Wake::kYes);
                             });
  }
  return place_present_run(run, counters_.pages_copied,
                           [&](uint64_t address, uint64_t done, uint64_t bytes) {
                             return uffd_.copy(address, plain + done * kPageBytes, bytes);
                           });
}

void GuestMemory::wake(uint64_t unit_page) {
  uffd_.wake(regions_.place_of(unit_page).address, regions_.page_bytes());
}

bool GuestMemory::poison(uint64_t unit_page) {
  const RegionMap::Place place = regions_.place_of(unit_page);
  return uffd_.poison(place.address, regions_.page_bytes()).status == InstallStatus::kDone;
}

}  // namespace thaw
