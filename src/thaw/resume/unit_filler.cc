// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/unit_filler.h"

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/resume/slot_install.h"

namespace thaw {

// A unit whose chunks are being collected; then the task that installs it. Shared by the fetches
// that fill it. Holds a pass of the session's gate for as long as any of them is under way.
struct UnitFiller::Assembly {
  uint32_t unit = 0;
  std::optional<uint64_t> faulting;
  std::vector<uint32_t> numbers;
  std::vector<ChunkRef> chunks;
  std::optional<uint32_t> piece;      // of the plain cache, if the unit is one
  const PlainPiece* plain = nullptr;  // then `chunks` may be empty
  std::atomic<size_t> missing{0};
  Guarded<std::optional<Error>> error;
  std::function<void()> done;  // of a prefetch
  Gate::Pass pass;
};

UnitFiller::UnitFiller(const FillContext& context, std::unique_ptr<FillUnits> units)
    : context_(context),
      units_(std::move(units)),
      states_(units_->count()),
      event_scratch_(context.scratch) {}

void UnitFiller::fault(uint64_t page) {
  GuestMemory& memory = context_.memory;
  const std::optional<uint32_t> unit = units_->unit_of(page);
  if (!unit || memory.is_removed(page)) {
    context_.counters.zero_faults.fetch_add(1, std::memory_order_relaxed);
    settle(context_.host, page, place_zero_fault(context_.image, memory, page),
           [this, page] { fault(page); });
    return;
  }
  if (context_.plain != nullptr && !context_.plain->piece_of_chunk(*unit)) {
    // A plan of slices: its pages are at hand, the rest of their chunk is not.
    if (const auto placed = place_plain_fault(context_, page, context_.counters)) {
      settle(context_.host, page, *placed, [this, page] { fault(page); });
      return;
    }
  }
  std::atomic<State>& state = states_[*unit];
  State seen = state.load(std::memory_order_acquire);
  while (true) {
    // Looked for after the state: a unit that is installed meanwhile must not be fetched again.
    if (wake_stale(memory, page, context_.counters)) return;
    if (seen == State::kWanted) {
      context_.counters.joined.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if (state.compare_exchange_weak(seen, State::kWanted, std::memory_order_acq_rel)) break;
  }
  if (seen == State::kPrefetching) {
    context_.counters.joined.fetch_add(1, std::memory_order_relaxed);
    for (const uint32_t chunk : units_->chunks_of(*unit)) {
      context_.source.promote(context_.image.manifest().clear.chunks[chunk].id);
    }
    return;
  }
  if (seen == State::kInstalled) installed_.fetch_sub(1, std::memory_order_relaxed);

  const AssemblyRef assembly = assemble(*unit, page);
  if (!assembly) return;
  if (assembly->missing.load(std::memory_order_relaxed) > 0) {
    context_.counters.misses.fetch_add(1, std::memory_order_relaxed);
    fetch_missing(assembly, Priority::kFault);
    return;
  }
  context_.counters.hits.fetch_add(1, std::memory_order_relaxed);
  const PlaceResult result = install_faulting(*assembly, page, *event_scratch_);
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
  if (context_.plain != nullptr) {
    assembly->piece = context_.plain->piece_of_chunk(unit);
    if (assembly->piece) assembly->plain = context_.plain->find(*assembly->piece);
    if (assembly->plain != nullptr) {
      context_.counters.plain_hits.fetch_add(1, std::memory_order_relaxed);
      return assembly;
    }
  }
  assembly->numbers = units_->chunks_of(unit);
  assembly->chunks.resize(assembly->numbers.size());
  size_t missing = 0;
  for (size_t i = 0; i < assembly->numbers.size(); ++i) {
    const ChunkEntry& entry = context_.image.manifest().clear.chunks[assembly->numbers[i]];
    assembly->chunks[i] = context_.source.lookup(entry.id);
    if (!assembly->chunks[i]) ++missing;
  }
  context_.counters.chunks.fetch_add(assembly->numbers.size(), std::memory_order_relaxed);
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
  if (assembly->done) assembly->done();
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
  if (context_.counters.prefetch_errors.fetch_add(1, std::memory_order_relaxed) == 0) {
    log_warning("prefetch skips what it cannot read, the first time for: " + error.message);
  }
}

PlaceResult UnitFiller::install_faulting(const Assembly& assembly, uint64_t page,
                                         Scratch& scratch) const {
  if (assembly.plain == nullptr) {
    return units_->install_faulting(assembly.unit, assembly.chunks, page, scratch);
  }
  const GatePass pass(context_.memory.gate());
  return context_.memory.place_faulting(page, context_.plain->find_page(page));
}

// From plaintext that is there, or is left there for the next clone.
PlaceResult UnitFiller::install_rest(Assembly& assembly, Scratch& scratch) const {
  if (assembly.plain == nullptr && assembly.piece) {
    scratch.cipher.set_key(context_.image.manifest().chunk_key(assembly.unit));
    assembly.plain =
        context_.plain->fill(*assembly.piece, assembly.chunks[0]->ciphertext(), scratch.cipher);
  }
  if (assembly.plain != nullptr) {
    return install_plain(context_.memory, assembly.plain->plain.span(), assembly.plain->runs);
  }
  return units_->install_rest(assembly.unit, assembly.chunks, scratch);
}

void UnitFiller::install(const AssemblyRef& assembly) {
  if (context_.host.stopping()) return;
  const auto again = [this, assembly] { submit_install(assembly, /*urgent=*/true); };
  ScratchPool::Loan scratch(context_.scratch);
  if (assembly->faulting) {
    const PlaceResult result = install_faulting(*assembly, *assembly->faulting, *scratch);
    if (!settle(context_.host, *assembly->faulting, result, again)) return;
    assembly->faulting.reset();
  }
  const PlaceResult result = install_rest(*assembly, *scratch);
  if (!settle(context_.host, units_->first_page(assembly->unit), result, again)) return;
  states_[assembly->unit].store(State::kInstalled, std::memory_order_release);
  installed_.fetch_add(1, std::memory_order_release);
  context_.host.progress();
}

void UnitFiller::submit_install(const AssemblyRef& assembly, bool urgent) {
  const bool taken = context_.workers.submit([this, assembly] { install(assembly); }, urgent);
  if (taken) return;
  // A full queue slows this session's fault thread down instead of losing the unit.
  install(assembly);
}

bool UnitFiller::prefetch(uint32_t unit, std::function<void()> done) {
  State expected = State::kAbsent;
  if (!states_[unit].compare_exchange_strong(expected, State::kPrefetching,
                                             std::memory_order_acq_rel)) {
    return false;
  }
  const AssemblyRef assembly = assemble(unit, std::nullopt);
  if (!assembly) return false;
  if (assembly->missing.load(std::memory_order_relaxed) == 0) {
    install(assembly);
    return false;
  }
  assembly->done = std::move(done);
  fetch_missing(assembly, Priority::kPrefetch);
  return true;
}

}  // namespace thaw
