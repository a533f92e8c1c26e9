// SPDX-License-Identifier: Apache-2.0
//
// Prefetcher: carries a PrefetchPlan out beside the faults: fetch, verify, decrypt and install
// overlap, because every chunk is on its own way through them, as many at once as there are lanes.
// Then, if asked to, it brings in the rest of the image with few lanes, so that the guest needs
// nobody any more.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "thaw/resume/filler.h"
#include "thaw/resume/page_filler.h"
#include "thaw/resume/strategy.h"
#include "thaw/resume/unit_filler.h"

namespace thaw {

struct PrefetchOptions {
  unsigned lanes = 48;      // chunks on their way at once, as far as they must be waited for
  unsigned cores = 2;       // that may install at once what need not be waited for
  unsigned rest_lanes = 2;  // of the rest
  bool rest = false;        // bring in everything else too
};

struct PrefetchCounters {
  std::atomic<uint64_t> predicted_faults{0};    // on pages of the plan that were not there yet
  std::atomic<uint64_t> unpredicted_faults{0};  // on pages that the plan does not have
  std::atomic<uint64_t> plain_hits{0};          // slices from the plain cache
  std::atomic<uint64_t> errors{0};              // slices that could not be loaded
  std::atomic<bool> stopped{false};             // the prediction was mostly wrong
};

/// The prediction is given up when, of at least this many faults, more than three quarters were on
/// pages that nobody predicted. A prefetch that keeps ahead of its guest is not judged by the few
/// faults that it leaves.
inline constexpr uint64_t kJudgedFaultsMin = 32;

/// Members may be called from any thread but for those that say otherwise.
class Prefetcher {
 public:
  /// `units` is nullptr where all faults are filled page by page; then there is no rest. `pages` is
  /// nullptr where none is; then what is only fetched is not. Borrows the plan and what the context
  /// borrows.
  Prefetcher(const FillContext& context, UnitFiller* units, PageFiller* pages,
             const PrefetchPlan& plan, const PrefetchOptions& options);

  void start();

  /// The guest waits for the plan: faults are to be kept. FillHost::guest_released() tells of the
  /// end.
  bool holds_guest() const {
    return plan_.hold_guest && plan_steps_left_.load(std::memory_order_acquire) > 0;
  }
  /// The rest was asked for and all of the image is installed.
  bool complete() const;

  /// Event thread: for how long nothing may happen before idle() is to be called; nullopt: not at
  /// all.
  std::optional<std::chrono::milliseconds> idle_limit() const;
  /// Event thread: nothing has happened for that long and the plan is still on its way, so a chunk
  /// takes long to come: unless the workers have too much to do, fetches what is near the plan, so
  /// that a page that was not predicted need not wait as long again.
  void idle();

  /// Event thread: a fault on `page` is about to be served. Judges the prediction.
  void judge(uint64_t page);

  uint64_t predicted_pages() const { return plan_.predicted.count(); }
  const PrefetchCounters& counters() const { return counters_; }

 private:
  struct Step {
    enum class Kind : uint8_t { kUnit, kSlice, kZeros };
    Kind kind = Kind::kUnit;
    uint32_t index = 0;  // of the unit, the slice, or the first of the zero runs
    uint32_t count = 1;  // of zero runs
  };
  // Has one step under way at a time. There are as many as cores at first, and one more whenever a
  // lane has to wait. A lane passes from task to task; shared because tasks are copied.
  struct Lane {
    unsigned number = 0;
    Gate::Pass pass;
  };
  using LaneRef = std::shared_ptr<Lane>;
  struct SliceLoad;

  void add_plan_steps();
  void add_units_of_slices();
  void add_rest_steps();
  void add_lane();
  void run_lane(const LaneRef& lane);
  void continue_lane(const LaneRef& lane);
  /// A guest that is held stays asleep until its faults are answered.
  Wake wake_of(size_t step) const {
    return plan_.hold_guest && step < plan_steps_ ? Wake::kNo : Wake::kYes;
  }
  void end_step(size_t step, const LaneRef& lane);

  // True if the step is over already; else end_step() comes later, or has come.
  bool run_step(size_t step, const LaneRef& lane);
  bool load_slice(size_t step, const LaneRef& lane);
  void fetch_near(const LaneRef& lane);
  void note_error(const Error& error);
  bool install_slice(const std::shared_ptr<SliceLoad>& load);
  bool place_zeros(size_t step, uint32_t at, const LaneRef& lane);

  FillContext context_;
  UnitFiller* const units_;
  PageFiller* const pages_;
  const PrefetchPlan& plan_;
  const PrefetchOptions options_;

  std::vector<Slice> chunk_slices_;  // of a plan of chunks where there are no units
  std::vector<PageRun> zero_runs_;   // of the plan, then of the rest
  std::vector<Step> steps_;          // those of the plan first
  size_t plan_steps_ = 0;
  size_t units_total_ = 0;  // of the image, if the rest is wanted
  std::atomic<unsigned> lanes_{0};
  std::atomic<size_t> next_step_{0};
  std::atomic<size_t> plan_steps_left_{0};
  bool near_begun_ = false;  // of the event thread
  std::atomic<size_t> next_near_{0};
  std::atomic<size_t> rest_zeros_left_{0};
  PrefetchCounters counters_;
};

}  // namespace thaw
