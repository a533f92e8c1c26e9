// SPDX-License-Identifier: Apache-2.0
//
// LabHome: a function's snapshots with chunks of one size, in a store of their own, and the tiers
// over it. Everything is made when it is first needed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/lab/cell.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/lab_zone.h"
#include "thaw/store/dir_store.h"
#include "thaw/sys/scratch_dir.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// What homes share; borrowed.
struct LabPlaces {
  const ScratchDir& memory;  // for stores and oracles
  const ScratchDir& disk;    // for what is read from a disk
  const KeyProvider& keys;
  WorkerPool& workers;
};

/// Belongs to one thread.
class LabHome {
 public:
  /// `memory_path`: the guest's memory; empty: random bytes of its shape.
  static Result<std::unique_ptr<LabHome>> make(const LabPlaces& places, const FunctionTrace& trace,
                                               uint64_t chunk_bytes,
                                               const std::string& memory_path);

  const std::string& name() const { return name_; }
  const FunctionTrace& trace() const { return trace_; }
  const Catalog& catalog() const { return *catalog_; }

  /// The clones' snapshots, one for each resume at once.
  Result<std::vector<const FunctionSnapshot*>> snapshots_of(const Cell& cell);

  /// The tiers as the cell has them when it begins, with these snapshots' chunks where the cell
  /// says and nowhere above. Until the next call. `zone` for tiers that have one.
  Result<TierStack*> stack_of(const Cell& cell,
                              const std::vector<const FunctionSnapshot*>& snapshots, LabZone* zone,
                              uint64_t seed);

 private:
  LabHome(const LabPlaces& places, const FunctionTrace& trace, uint64_t chunk_bytes,
          std::string name)
      : places_(places), trace_(trace), chunk_bytes_(chunk_bytes), name_(std::move(name)) {}

  Result<const FunctionSnapshot*> child(ChildPages pages, uint64_t number);
  FunctionSnapshotOptions options_of(const std::string& suffix) const;
  Result<TierOptions> tiers_of(const Cell& cell, LabZone* zone, uint64_t seed) const;
  Result<void> fill(TierStack& stack, const Cell& cell,
                    const std::vector<const FunctionSnapshot*>& snapshots,
                    std::set<std::string>& filled) const;

  const LabPlaces places_;
  const FunctionTrace& trace_;
  const uint64_t chunk_bytes_;
  const std::string name_;
  std::unique_ptr<DirStore> store_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<FunctionSnapshot> base_;
  std::map<std::string, std::unique_ptr<FunctionSnapshot>> children_;
  std::unique_ptr<TierStack> memory_;  // stays
  std::unique_ptr<TierStack> fresh_;   // of the other tiers: made anew for each measurement
  std::set<std::string> in_memory_;    // whose chunks are all there
  std::set<std::string> on_disk_;
};

}  // namespace thaw
