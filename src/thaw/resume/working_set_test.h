// SPDX-License-Identifier: Apache-2.0
//
// Working sets for tests of the resume path.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "thaw/image/working_set.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// `count` different pages below `page_count`, in random order.
inline std::vector<uint32_t> random_pages(uint32_t page_count, size_t count, uint64_t seed) {
  std::vector<uint32_t> pages(page_count);
  std::iota(pages.begin(), pages.end(), 0u);
  std::mt19937_64 random(seed);
  std::shuffle(pages.begin(), pages.end(), random);
  pages.resize(count);
  return pages;
}

/// A working set of one recording that touched these pages in this order.
inline WorkingSet recorded_set(const NameTarget& target, const std::vector<uint32_t>& pages) {
  WorkingSet set;
  set.manifest = target.manifest;
  Recording recording;
  for (const uint32_t page : pages) recording.touches.push_back({page, 0, false});
  set.recordings.push_back(std::move(recording));
  return set;
}

}  // namespace thaw
