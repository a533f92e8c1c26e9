// SPDX-License-Identifier: Apache-2.0
//
// Strategy: what a resume loads ahead of the guest's faults. Each is one function from a snapshot
// (page map, layout, working set) to a PrefetchPlan; who carries a plan out neither knows nor cares
// which strategy made it.
//
//   on-demand  nothing
//   reap       the recorded pages from one compact copy, before the guest runs. Ustiugov et al.,
//              "Benchmarking, Analysis, and Optimization of Serverless Function Snapshots", ASPLOS
//              2021
//   faasnap    the recorded pages in groups by first touch, gaps merged, while the guest runs; Ao
//   et
//              al., "FaaSnap: FaaS Made Fast Using Snapshot-based VMs", EuroSys 2022
//   chunks     the chunks that hold recorded pages, whole, in order of first access: Brooker et
//   al.,
//              "On-demand Container Loading in AWS Lambda", ATC 2023, as used for snapshots
//   hot        ours: the hot chunks of a snapshot that is laid out for it, in stages, while the
//              guest runs (docs/ARCHITECTURE.md)
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/resume/page_bitmap.h"

namespace thaw {

class ResumeImage;

enum class Strategy { kOnDemand, kReap, kFaasnap, kChunks, kHot };
const char* to_string(Strategy strategy);
std::optional<Strategy> parse_strategy(std::string_view word);

/// What suits the image best: hot if it is laid out hot, else chunks if it has a working set, else
/// on-demand.
Strategy default_strategy(const ResumeImage& image);

/// Whether the strategy, or default_strategy() for nullopt, loads anything by a working set: a
/// snapshot with a hot set has what `hot` needs in its manifest.
bool uses_working_set(std::optional<Strategy> strategy, const Manifest& manifest);

/// Pages that stand together in a chunk and in the image.
struct SlotRun {
  uint32_t page = 0;
  uint32_t slot = 0;
  uint32_t count = 0;
};

/// Pages that are installed as soon as their chunk is there.
struct Slice {
  uint32_t chunk = 0;  // of PrefetchPlan::pack, or of the manifest
  std::vector<SlotRun> runs;
};

/// What is loaded, in this order. Whole chunks or slices, never both. Immutable once made, and
/// borrows from the image.
struct PrefetchPlan {
  explicit PrefetchPlan(uint64_t image_pages) : predicted(image_pages) {}

  bool hold_guest = false;       // no fault is served before all of it is installed
  std::vector<uint32_t> chunks;  // of the manifest, each with all its pages
  std::vector<Slice> slices;
  const Pack* pack = nullptr;      // whose chunks the slices are of; nullptr: the manifest's
  std::vector<uint32_t> near;      // chunks that are fetched last, and not installed
  std::vector<PageRun> zero_runs;  // ascending; zero in the image
  PageBitmap predicted;            // the pages that it installs, zeros included

  bool empty() const { return chunks.empty() && slices.empty() && zero_runs.empty(); }
};

/// What FaaSnap loads at once, and the gap that one region may span. The published figures; a gap
/// is for storage where a request costs more than the pages between, so packs are made with their
/// own.
inline constexpr size_t kFaasnapGroupPages = 1024;
inline constexpr uint32_t kFaasnapGapPages = 32;

/// kInvalid if the strategy needs a working set that the image does not have.
Result<PrefetchPlan> plan_prefetch(Strategy strategy, const ResumeImage& image);

}  // namespace thaw
