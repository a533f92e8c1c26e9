// SPDX-License-Identifier: Apache-2.0
//
// The hot layout: recorded pages in stages of first touch. A stage is what one wave of a resume
// installs, so its pages are sorted by address, where neighbours become one install; between
// stages the order of first touch is kept, so that what the guest wants first comes first.
//
// The first stage is small, because the guest waits for it: 256 pages are 1 MiB, which one core
// reads (0.6 ms from a disk of 1.6 GB/s), decrypts (0.15 ms) and installs (0.3 ms) in about a
// millisecond. Each further stage is twice the one before, so that runs get longer while the guest
// is busy, up to 2,048 pages: above that longer runs gain nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "thaw/base/units.h"
#include "thaw/image/page_runs.h"

namespace thaw {

struct StageSizes {
  uint64_t first_pages = 256;
  uint64_t pages_max = 2048;
};

/// Cuts pages, given in order of first touch and each once, into stages and these into chunks of at
/// most `capacity_pages`. The chunks in order of loading, each as runs in order of slot, which is
/// the order of address. No chunk has pages of two stages.
std::vector<PageRuns> plan_stages(std::span<const uint32_t> pages, uint64_t capacity_pages,
                                  const StageSizes& sizes = {});

/// Cuts runs of pages, in whatever order they are given, into chunks of exactly `capacity_pages`,
/// the last one shorter.
std::vector<PageRuns> pack_densely(std::span<const PageRun> pages, uint64_t capacity_pages);

/// The same by aligned windows of `capacity_pages`: a chunk for each window that has a page.
std::vector<PageRuns> cut_windows(std::span<const PageRun> pages, uint64_t capacity_pages);

}  // namespace thaw
