// SPDX-License-Identifier: Apache-2.0
//
// UnitFiller: whoever completes a unit's chunks installs its pages, the faulting page first. A unit
// is what is fetched and installed together: all pages of one chunk, or one huge page, which may
// need several chunks (fill_units.h).
#pragma once

#include <atomic>
#include <functional>
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

  const FillUnits& units() const { return *units_; }

  /// Loads a unit that nobody has asked for yet. False if that is over already: it was in memory
  /// and is installed, or it is somebody else's work. Else `done` is called when it is installed or
  /// given up, on any thread, maybe before this returns.
  bool prefetch(uint32_t unit, std::function<void()> done);
  /// Units whose pages are all installed.
  size_t installed() const { return installed_.load(std::memory_order_acquire); }

 private:
  // kWanted: on its way, and a guest thread waits for it, so that a failure is fatal.
  enum class State : uint8_t { kAbsent, kPrefetching, kWanted, kInstalled };

  struct Assembly;
  using AssemblyRef = std::shared_ptr<Assembly>;
  AssemblyRef assemble(uint32_t unit, std::optional<uint64_t> faulting);
  void fetch_missing(const AssemblyRef& assembly, Priority priority);
  void arrive(const AssemblyRef& assembly, size_t index, Result<ChunkRef> result);
  void finish(const AssemblyRef& assembly);
  void give_up(const AssemblyRef& assembly);
  void install(const AssemblyRef& assembly);
  void submit_install(const AssemblyRef& assembly, bool urgent);

  FillContext context_;
  std::unique_ptr<FillUnits> units_;
  std::vector<std::atomic<State>> states_;
  std::atomic<size_t> installed_{0};
  ScratchPool::Loan event_scratch_;  // for the event thread, which serves hits itself
};

}  // namespace thaw
