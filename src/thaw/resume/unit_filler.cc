// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/unit_filler.h"

#include "thaw/base/check.h"
#include "thaw/base/log.h"

namespace thaw {

// A unit whose chunks are being collected; then the task that installs it. Shared by the fetches
// that fill it. Holds a pass of the session's gate for as long as any of them is under way.
struct UnitFiller::Assembly {
  uint32_t unit = 0;
  std::optional<uint64_t> faulting;
  std::vector<uint32_t> numbers;
  std::vector<ChunkRef> chunks;
  std::atomic<size_t> missing{0};
  Guarded<std::optional<Error>> error;
  Lane lane;  // to be continued when the unit is done
  Gate::Pass pass;
};

UnitFiller::UnitFiller(const FillContext& context, std::unique_ptr<FillUnits> units)
    : context_(context),
      units_(std::move(units)),
      states_(units_->count()),
      event_scratch_(scratch_pages_for(context.memory)) {}

void UnitFiller::fault(uint64_t page) {
  GuestMemory& memory = context_.memory;
  const std::optional<uint32_t> unit = units_->unit_of(page);
  if (!unit || memory.is_removed(page)) {
    counters_.zero_faults.fetch_add(1, std::memory_order_relaxed);
    settle(context_.host, page, place_zero_fault(context_.image, memory, page),
           [this, page] { fault(page); });
    return;
  }
  std::atomic<State>& state = states_[*unit];
  State seen = state.load(std::memory_order_acquire);
  while (true) {
    if (seen == State::kWanted) {
      counters_.joined.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if (seen == State::kInstalled && memory.is_present(page)) {
      // The event is older than the install, whose wake may have come before the thread slept. If
      // the page is missing all the same, the thread faults again and is served.
      counters_.stale.fetch_add(1, std::memory_order_relaxed);
      memory.forget_present(page);
      memory.wake(page);
      return;
    }
    if (state.compare_exchange_weak(seen, State::kWanted, std::memory_order_acq_rel)) break;
  }
  if (seen == State::kPrefetching) {
    counters_.joined.fetch_add(1, std::memory_order_relaxed);
    for (const uint32_t chunk : units_->chunks_of(*unit)) {
      context_.source.promote(context_.image.manifest().clear.chunks[chunk].id);
    }
    return;
  }
  if (seen == State::kInstalled) installed_.fetch_sub(1, std::memory_order_relaxed);

  const AssemblyRef assembly = assemble(*unit, page);
  if (!assembly) return;
  if (assembly->missing.load(std::memory_order_relaxed) > 0) {
    counters_.misses.fetch_add(1, std::memory_order_relaxed);
    fetch_missing(assembly, Priority::kFault);
    return;
  }
  counters_.hits.fetch_add(1, std::memory_order_relaxed);
  const PlaceResult result =
      units_->install_faulting(*unit, assembly->chunks, page, event_scratch_);
  if (settle(context_.host, page, result,
             [this, assembly] { submit_install(assembly, /*urgent=*/true); })) {
    assembly->faulting.reset();
    submit_install(assembly, /*urgent=*/false);
  }
}

// Takes what is in memory; nullptr if the session is stopping.
UnitFiller::AssemblyRef UnitFiller::assemble(uint32_t unit, std::optional<uint64_t> faulting) {
  auto assembly = std::make_shared<Assembly>();
  assembly->pass = context_.gate.enter();
  if (!assembly->pass) return nullptr;
  assembly->unit = unit;
  assembly->faulting = faulting;
  assembly->numbers = units_->chunks_of(unit);
  assembly->chunks.resize(assembly->numbers.size());
  size_t missing = 0;
  for (size_t i = 0; i < assembly->numbers.size(); ++i) {
    const ChunkEntry& entry = context_.image.manifest().clear.chunks[assembly->numbers[i]];
    assembly->chunks[i] = context_.source.lookup(entry.id);
    if (!assembly->chunks[i]) ++missing;
  }
  counters_.chunks.fetch_add(assembly->numbers.size(), std::memory_order_relaxed);
  assembly->missing.store(missing, std::memory_order_relaxed);
  return assembly;
}

void UnitFiller::fetch_missing(const AssemblyRef& assembly, Priority priority) {
  // One more than is missing, so that the unit is not finished while this loop still looks at it.
  assembly->missing.fetch_add(1, std::memory_order_relaxed);
  for (size_t i = 0; i < assembly->numbers.size(); ++i) {
    if (assembly->chunks[i]) continue;
    context_.fetches.begin();
    context_.source.fetch(
        context_.fetches.request(context_.image.manifest(), assembly->numbers[i], priority),
        [this, assembly, i](Result<ChunkRef> result) { arrive(assembly, i, std::move(result)); });
  }
  if (assembly->missing.fetch_sub(1, std::memory_order_acq_rel) == 1) finish(assembly);
}

void UnitFiller::arrive(const AssemblyRef& assembly, size_t index, Result<ChunkRef> result) {
  context_.fetches.end();
  if (result) {
    assembly->chunks[index] = std::move(*result);
  } else {
    assembly->error.with([&](auto& error) { error = std::move(result).error(); });
  }
  if (assembly->missing.fetch_sub(1, std::memory_order_acq_rel) == 1) finish(assembly);
}

void UnitFiller::finish(const AssemblyRef& assembly) {
  if (assembly->error.with([](const auto& error) { return error.has_value(); })) {
    give_up(assembly);
  } else {
    install(assembly);
  }
  if (assembly->lane) continue_lane(assembly->lane);
}

void UnitFiller::give_up(const AssemblyRef& assembly) {
  const Error error = *assembly->error.with([](const auto& kept) { return kept; });
  const uint64_t page = assembly->faulting.value_or(units_->first_page(assembly->unit));
  const State before = states_[assembly->unit].exchange(State::kAbsent, std::memory_order_acq_rel);
  if (before == State::kWanted) {
    context_.host.fail_closed(page, error);
    return;
  }
  // Nobody waits for it; if the guest ever does, it is fetched again.
  if (counters_.prefault_errors.fetch_add(1, std::memory_order_relaxed) == 0) {
    log_warning("prefault skips what it cannot read, the first time for: " + error.message);
  }
}

void UnitFiller::install(const AssemblyRef& assembly) {
  if (context_.host.stopping()) return;
  const auto again = [this, assembly] { submit_install(assembly, /*urgent=*/true); };
  ScratchPool::Loan scratch(context_.scratch);
  if (assembly->faulting) {
    const PlaceResult result =
        units_->install_faulting(assembly->unit, assembly->chunks, *assembly->faulting, *scratch);
    if (!settle(context_.host, *assembly->faulting, result, again)) return;
    assembly->faulting.reset();
  }
  const PlaceResult result = units_->install_rest(assembly->unit, assembly->chunks, *scratch);
  if (!settle(context_.host, units_->first_page(assembly->unit), result, again)) return;
  states_[assembly->unit].store(State::kInstalled, std::memory_order_release);
  installed_.fetch_add(1, std::memory_order_release);
  if (prefault_started_.load(std::memory_order_acquire)) context_.host.progress();
}

void UnitFiller::submit_install(const AssemblyRef& assembly, bool urgent) {
  const bool taken = context_.workers.submit([this, assembly] { install(assembly); }, urgent);
  if (taken) return;
  // A full queue slows this session's fault thread down instead of losing the unit.
  install(assembly);
}

void UnitFiller::start_prefault(unsigned lanes) {
  CHECK(!prefault_started_.load(std::memory_order_relaxed));
  order_ = units_->order();
  zero_runs_ = units_->zero_runs();
  prefault_started_.store(true, std::memory_order_release);
  for (unsigned i = 0; i < lanes; ++i) {
    auto lane = std::make_shared<Gate::Pass>(context_.gate.enter());
    if (*lane) continue_lane(lane);
  }
}

bool UnitFiller::prefault_complete() const {
  return prefault_started_.load(std::memory_order_acquire) &&
         zero_runs_done_.load(std::memory_order_acquire) == zero_runs_.size() &&
         installed_.load(std::memory_order_acquire) == order_.size();
}

// A lane does one unit, then queues up again behind whatever else the workers have to do.
void UnitFiller::continue_lane(const Lane& lane) {
  if (context_.workers.submit([this, lane] { run_lane(lane); }, /*urgent=*/false)) return;
  context_.host.retry([this, lane] { continue_lane(lane); });
}

void UnitFiller::run_lane(const Lane& lane) {
  while (!context_.host.stopping()) {
    const size_t at = next_unit_.fetch_add(1, std::memory_order_relaxed);
    if (at >= order_.size()) break;
    State expected = State::kAbsent;
    if (!states_[order_[at]].compare_exchange_strong(expected, State::kPrefetching,
                                                     std::memory_order_acq_rel)) {
      continue;
    }
    const AssemblyRef assembly = assemble(order_[at], std::nullopt);
    if (!assembly) return;
    if (assembly->missing.load(std::memory_order_relaxed) == 0) {
      install(assembly);
      continue_lane(lane);
    } else {
      assembly->lane = lane;
      fetch_missing(assembly, Priority::kPrefetch);
    }
    return;
  }
  const size_t at = next_zero_run_.fetch_add(1, std::memory_order_relaxed);
  if (at >= zero_runs_.size() || context_.host.stopping()) return;
  prefault_zeros(lane, zero_runs_[at]);
  continue_lane(lane);
}

void UnitFiller::prefault_zeros(const Lane& lane, PageRun run) {
  const PlaceResult result = [&] {
    const GatePass pass(context_.memory.gate());
    return context_.memory.place_zero(run);
  }();
  // `lane` in the closure keeps the session's gate from closing before the retry has run.
  if (!settle(context_.host, run.page, result, [this, lane, run] { prefault_zeros(lane, run); })) {
    return;
  }
  zero_runs_done_.fetch_add(1, std::memory_order_acq_rel);
  context_.host.progress();
}

}  // namespace thaw
