// SPDX-License-Identifier: Apache-2.0
//
// GuestMemory: the VMM's memory as the page server sees it: where each page of the image goes,
// which pages are present, which the guest gave back, and the kernel's rules for installing. Every
// install of a session passes through here.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/resume/install_gate.h"
#include "thaw/resume/page_bitmap.h"
#include "thaw/resume/region_map.h"
#include "thaw/resume/stage_times.h"
#include "thaw/sys/uffd.h"

namespace thaw {

/// How an install ended.
enum class Placed {
  kDone,    // every page of the run is present, given back, or no longer mapped
  kAgain,   // the address space is changing: read events, then do the same again
  kGone,    // the VMM has gone
  kFailed,  // the kernel refused for another reason: fail closed
};

struct PlaceResult {
  Placed placed = Placed::kDone;
  int error_number = 0;
};

/// Counters of one session, for its summary.
struct PlaceCounters {
  std::atomic<uint64_t> pages_copied{0};
  std::atomic<uint64_t> pages_zeroed{0};
  std::atomic<uint64_t> pages_removed{0};
  std::atomic<uint64_t> already_present{0};  // EEXIST
  std::atomic<uint64_t> unmapped{0};         // ENOENT
  std::atomic<uint64_t> again{0};            // EAGAIN in either encoding
};

/// Installs may come from many threads, inside the gate (GatePass) or on the thread that closes it.
/// remove() is for that thread alone, with the gate closed.
class GuestMemory {
 public:
  /// `stages`, if any, is borrowed.
  GuestMemory(Uffd uffd, RegionMap regions, uint64_t image_pages, StageTimes* stages = nullptr);

  const Uffd& uffd() const { return uffd_; }
  const RegionMap& regions() const { return regions_; }
  InstallGate& gate() { return gate_; }
  const PlaceCounters& counters() const { return counters_; }
  uint64_t pages_present() const { return present_.count(); }
  /// For whoever decrypts what is installed here: what a StageClock adds to.
  std::atomic<uint64_t>* decrypt_ns() const { return stages_ ? &stages_->decrypt_ns : nullptr; }

  /// Pages per unit of installation: 1, or 512 where the VMM's memory is hugetlb.
  uint64_t unit_pages() const { return regions_.page_bytes() / kPageBytes; }

  bool is_removed(uint64_t page) const { return removed_.test(page); }
  bool is_present(uint64_t page) const { return present_.test(page); }
  /// Forgets that a page is present: the guest faults on what we took for installed.
  void forget_present(uint64_t page) { present_.clear(page); }

  /// Marks the pages of an address range as given back: they read as zeros from now on.
  void remove(uint64_t begin, uint64_t end);

  /// Installs a run of pages from `plain`, leaving out those that are present or removed; whole
  /// units.
  PlaceResult place(PageRun run, const std::byte* plain, Wake wake = Wake::kYes);
  /// Makes a run of pages zero, leaving out those that are present; whole units.
  PlaceResult place_zero(PageRun run, Wake wake = Wake::kYes);
  /// Installs one unit that a guest thread waits for, whatever the bitmaps say: its waiters are
  /// woken even if it is present. `plain` nullptr stands for zeros.
  PlaceResult place_faulting(uint64_t unit_page, const std::byte* plain);

  /// Wakes the threads that wait for the unit; they look again.
  void wake(uint64_t unit_page);

  /// Makes accesses to the unit fail instead of wait, where the kernel can.
  bool poison(uint64_t unit_page);

 private:
  template <typename Install>
  PlaceResult place_present_run(PageRun run, std::atomic<uint64_t>& counter, Install&& install);
  template <typename Skip, typename Install>
  PlaceResult place_unless(PageRun run, std::atomic<uint64_t>& counter, Skip&& skip,
                           Install&& install);
  InstallOutcome install_zero(uint64_t address, uint64_t bytes, Wake wake);

  Uffd uffd_;
  RegionMap regions_;
  InstallGate gate_;
  PageBitmap present_;
  PageBitmap removed_;
  PlaceCounters counters_;
  StageTimes* const stages_;
  AlignedBuffer zeros_;  // a huge page of zeros: ZEROPAGE is not for hugetlb memory
};

}  // namespace thaw
