// SPDX-License-Identifier: Apache-2.0
//
// UnitFiller: whoever completes a unit's chunks installs its pages, the faulting page first. A unit
// is what is fetched and installed together: all pages of one chunk, or one huge page, which may
// need several chunks (fill_units.h).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "thaw/resume/fill_units.h"
#include "thaw/resume/filler.h"

namespace thaw {

class UnitFiller final : public Filler {
 public:
  UnitFiller(const FillContext& context, std::unique_ptr<FillUnits> units);

  void fault(uint64_t page) override;
  const FillCounters& counters() const override { return counters_; }

  /// Installs everything the guest has not asked for yet, on the workers: data first, then zeros.
  void start_prefault(unsigned lanes);
  /// True once start_prefault() has installed all there is.
  bool prefault_complete() const;

 private:
  // kWanted: on its way, and a guest thread waits for it, so that a failure is fatal.
  enum class State : uint8_t { kAbsent, kPrefetching, kWanted, kInstalled };

  struct Assembly;
  using AssemblyRef = std::shared_ptr<Assembly>;
  // A lane of the prefault passes from task to task; shared because tasks are copied.
  using Lane = std::shared_ptr<Gate::Pass>;

  AssemblyRef assemble(uint32_t unit, std::optional<uint64_t> faulting);
  void fetch_missing(const AssemblyRef& assembly, Priority priority);
  void arrive(const AssemblyRef& assembly, size_t index, Result<ChunkRef> result);
  void finish(const AssemblyRef& assembly);
  void give_up(const AssemblyRef& assembly);
  void install(const AssemblyRef& assembly);
  void submit_install(const AssemblyRef& assembly, bool urgent);

  void run_lane(const Lane& lane);
  void continue_lane(const Lane& lane);
  void prefault_zeros(const Lane& lane, PageRun run);

  FillContext context_;
  std::unique_ptr<FillUnits> units_;
  std::vector<std::atomic<State>> states_;
  std::atomic<size_t> installed_{0};
  Scratch event_scratch_;  // for the event thread, which serves hits itself
  FillCounters counters_;

  std::vector<uint32_t> order_;
  std::vector<PageRun> zero_runs_;
  std::atomic<size_t> next_unit_{0};
  std::atomic<size_t> next_zero_run_{0};
  std::atomic<size_t> zero_runs_done_{0};
  std::atomic<bool> prefault_started_{false};
};

}  // namespace thaw
