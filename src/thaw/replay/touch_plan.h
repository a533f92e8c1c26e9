// SPDX-License-Identifier: Apache-2.0
//
// TouchPlan: what each thread of a replay VMM does, step by step, computed in advance from the
// options and their seed. Every VMM page has one owning thread, and only that thread touches or
// removes it: so what the page must hold is known exactly at each step, whatever the other threads
// do meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/replay/replay_vmm_options.h"

namespace thaw {

/// The guest's pages of 4 KiB, counted through the regions in handshake order, and where they stand
/// in the image. Immutable.
class GuestLayout {
 public:
  GuestLayout(std::vector<ReplayRegion> regions, uint64_t page_bytes);

  const std::vector<ReplayRegion>& regions() const { return regions_; }
  uint64_t page_bytes() const { return page_bytes_; }
  uint64_t page_count() const { return page_count_; }
  uint64_t vmm_page_of(uint64_t guest_page) const { return guest_page / pages_in_vmm_page_; }
  /// Pages of 4 KiB in a VMM page.
  uint64_t pages_in_vmm_page() const { return pages_in_vmm_page_; }

  /// The region that holds the guest page, and the region's first guest page.
  size_t region_of(uint64_t guest_page) const;
  uint64_t first_page_of(size_t region) const { return first_pages_[region]; }
  uint64_t image_page_of(uint64_t guest_page) const;
  /// nullopt if no region shows that page of the image.
  std::optional<uint64_t> guest_page_of(uint64_t image_page) const;

 private:
  std::vector<ReplayRegion> regions_;
  std::vector<uint64_t> first_pages_;
  uint64_t page_bytes_;
  uint64_t pages_in_vmm_page_;
  uint64_t page_count_ = 0;
};

struct TouchStep {
  enum class Kind : uint8_t { kRead, kWrite, kRemove, kRemoveByMap, kUnmap };
  Kind kind = Kind::kRead;
  uint64_t page = 0;    // guest page
  uint64_t count = 1;   // pages; 1 for a touch, else whole VMM pages of one region
  uint64_t due_ns = 0;  // not before this time from the start
};

/// The steps of each thread, in its order.
using TouchPlan = std::vector<std::vector<TouchStep>>;

/// The thread that owns a guest page.
unsigned owner_of(const GuestLayout& layout, uint64_t guest_page, unsigned threads);

/// A function of the options alone. kInvalid if a trace or a change names a page outside the
/// regions.
Result<TouchPlan> make_touch_plan(const ReplayVmmOptions& options, const GuestLayout& layout);

}  // namespace thaw
