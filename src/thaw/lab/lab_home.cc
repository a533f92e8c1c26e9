// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_home.h"

#include <cstdio>

#include "thaw/base/latency_shape.h"
#include "thaw/lab/space_needs.h"
#include "thaw/sys/file_io.h"
#include "thaw/tier/warm.h"

namespace thaw {
namespace {

constexpr uint64_t kEmptyLocalBytesMax = kGiB;
constexpr uint64_t kMemoryBytesMax = 4 * kGiB;

}  // namespace

Result<std::unique_ptr<LabHome>> LabHome::make(const LabPlaces& places, const FunctionTrace& trace,
                                               uint64_t chunk_bytes,
                                               const std::string& memory_path) {
  std::string name = trace.name + "-" + std::to_string(chunk_bytes);
  if (!memory_path.empty()) name += "-guest";
  std::unique_ptr<LabHome> home(new LabHome(places, trace, chunk_bytes, std::move(name)));
  const std::string directory = places.memory.file("store-" + home->name_);
  TRY(make_directories(directory));
  ASSIGN_OR_RETURN(home->store_, DirStore::create(directory));
  home->catalog_ = std::make_unique<Catalog>(*home->store_);
  TRY(home->catalog_->initialise());
  FunctionSnapshotOptions options = home->options_of("");
  options.memory_path = memory_path;
  ASSIGN_OR_RETURN(home->base_,
                   FunctionSnapshot::make(*home->catalog_, places.keys, trace, options));
  return home;
}

FunctionSnapshotOptions LabHome::options_of(const std::string& suffix) const {
  FunctionSnapshotOptions options;
  options.name = trace_.name + suffix;
  options.plain_path = places_.disk.file("plain-" + name_ + suffix);
  options.oracle_path = places_.memory.file("oracle-" + name_ + suffix);
  options.chunk_bytes = static_cast<uint32_t>(chunk_bytes_);
  return options;
}

Result<const FunctionSnapshot*> LabHome::child(ChildPages pages, uint64_t number) {
  const std::string suffix =
      pages == ChildPages::kWritten ? "-diff" : "-clone" + std::to_string(number);
  std::unique_ptr<FunctionSnapshot>& child = children_[suffix];
  if (child == nullptr) {
    FunctionSnapshotOptions options = options_of(suffix);
    options.seed = 2 + number;  // the base has 1
    ASSIGN_OR_RETURN(child, base_->make_child(*catalog_, places_.keys, options, pages));
  }
  return child.get();
}

Result<std::vector<const FunctionSnapshot*>> LabHome::snapshots_of(const Cell& cell) {
  std::vector<const FunctionSnapshot*> snapshots(cell.parallel, base_.get());
  for (uint64_t i = 0; i < cell.parallel; ++i) {
    if (cell.snapshot == LabSnapshot::kDiff) {
      ASSIGN_OR_RETURN(snapshots[i], child(ChildPages::kWritten, 0));
    } else if (cell.clones == LabClones::kDifferent) {
      ASSIGN_OR_RETURN(snapshots[i], child(ChildPages::kTouched, i));
    }
  }
  return snapshots;
}

Result<TierOptions> LabHome::tiers_of(const Cell& cell, LabZone* zone, uint64_t seed) const {
  TierOptions options;
  options.seed = seed;
  options.memory.bytes_max = cell.tier == LabTier::kMemory ? kMemoryBytesMax : 0;
  if (cell.tier == LabTier::kLocal) {
    options.local = LocalTierOptions{};
    options.local->cache.bytes_max = lab_cache_bytes(cell, trace_);
    options.local->cache.path =
        places_.disk.file("cache-" + name_ + "-" + std::to_string(options.local->cache.bytes_max));
    options.local->cache.slot_bytes = static_cast<uint32_t>(chunk_bytes_);
    options.local->verify_always = cell.without == Without::kPageVerify;
  }
  if (cell.tier == LabTier::kEmptyFleet) {
    options.local = LocalTierOptions{};
    options.local->cache.path = places_.disk.file("cache-empty");
    options.local->cache.bytes_max = kEmptyLocalBytesMax;
    options.local->cache.slot_bytes = static_cast<uint32_t>(chunk_bytes_);
    std::remove(options.local->cache.path.c_str());
  }
  if (cell.tier == LabTier::kZone || cell.tier == LabTier::kEmptyFleet) {
    if (cell.tier == LabTier::kEmptyFleet) TRY(zone->empty());
    options.zone = zone->options(seed);
  }
  if (cell.tier == LabTier::kOrigin || cell.tier == LabTier::kEmptyFleet) {
    options.origin_shape = latency_preset("origin");
  }
  return options;
}

Result<void> LabHome::fill(TierStack& stack, const Cell& cell,
                           const std::vector<const FunctionSnapshot*>& snapshots,
                           std::set<std::string>& filled) const {
  const bool mounted = cell.frontend == LabFrontend::kMount;
  for (const FunctionSnapshot* const snapshot : snapshots) {
    std::string key = name_ + " " + snapshot->name(mounted ? Layout::kLinear : Layout::kHot);
    if (cell.tier == LabTier::kLocal) key += " " + std::to_string(lab_cache_bytes(cell, trace_));
    if (!filled.insert(key).second) continue;
    Progress progress;
    ASSIGN_OR_RETURN(
        const WarmReport warmed,
        warm(stack, mounted ? snapshot->linear_chunks() : snapshot->touched_chunks(), progress));
    if (warmed.not_kept == 0) continue;
    filled.erase(key);
    return fail(ErrorCode::kExhausted,
                stack.top().describe() + " does not hold the chunks of " + key);
  }
  return {};
}

Result<TierStack*> LabHome::stack_of(const Cell& cell,
                                     const std::vector<const FunctionSnapshot*>& snapshots,
                                     LabZone* zone, uint64_t seed) {
  ASSIGN_OR_RETURN(const TierOptions options, tiers_of(cell, zone, seed));
  if (cell.tier == LabTier::kMemory) {
    if (memory_ == nullptr) {
      ASSIGN_OR_RETURN(memory_, TierStack::create(*store_, places_.workers, options));
    }
    TRY(fill(*memory_, cell, snapshots, in_memory_));
    return memory_.get();
  }
  const auto make = [&]() -> Result<void> {
    fresh_.reset();  // before another opens the file
    ASSIGN_OR_RETURN(fresh_, TierStack::create(*store_, places_.workers, options));
    if (fresh_->zone_client() == nullptr) return {};
    return wait_until_up(*fresh_->zone_client(), zone->nodes());
  };
  TRY(make());
  std::set<std::string>* const filled = cell.tier == LabTier::kLocal  ? &on_disk_
                                        : cell.tier == LabTier::kZone ? &zone->filled()
                                                                      : nullptr;
  if (filled == nullptr) return fresh_.get();
  const size_t before = filled->size();
  TRY(fill(*fresh_, cell, snapshots, *filled));
  // What filled it has counted, and may keep connections busy.
  if (filled->size() != before) TRY(make());
  return fresh_.get();
}

}  // namespace thaw
