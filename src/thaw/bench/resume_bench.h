// SPDX-License-Identifier: Apache-2.0
//
// ResumeBench: real functions' snapshots in every tier, and one resume of one of them in one of the
// ways that are compared. The figure of a resume is the VMM's own: milliseconds from before its
// handshake until it has touched the last page of its trace, one after the other without the gaps
// of computing. After that the VMM compares every page that it touched.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "thaw/bench/paired.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/study_server.h"
#include "thaw/resume/plain_cache.h"
#include "thaw/resume/session.h"
#include "thaw/store/dir_store.h"
#include "thaw/testing/fixed_keys.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"
#include "thaw/zone/loopback_zone.h"

namespace thaw {

/// Where the chunks are. Every tier above is empty, or not there.
enum class BenchTier { kMemory, kLocal, kZone, kOrigin };
const char* to_string(BenchTier tier);

/// A VMM's resume by a session.
struct SessionRun {
  BenchTier tier = BenchTier::kLocal;
  Layout layout = Layout::kHot;
  Strategy strategy = Strategy::kHot;
  Fill fill = Fill::kAuto;
  /// A further clone of the snapshot's hot form, as `thaw restore --clones` serves them: what the
  /// plan loads is there as plaintext from the one before.
  bool clone = false;
  bool record = false;
};

/// What a resume took, and what its session counted.
struct ResumeFigure {
  double ms = 0;
  SessionSummary summary;
};

/// Belongs to one thread. Aborts on any failure: a benchmark has no other answer.
class ResumeBench {
 public:
  explicit ResumeBench(const BenchScale& scale);
  ~ResumeBench();

  size_t functions() const { return snapshots_.size(); }
  const FunctionSnapshot& snapshot(size_t function) const { return *snapshots_[function]; }
  const std::string& name(size_t function) const { return traces_[function].name; }

  const Catalog& catalog() const { return *catalog_; }
  const KeyProvider& keys() const { return keys_; }
  /// Has every chunk that a trace touches, in memory.
  ChunkSource& memory_tier() { return memory_->top(); }

  /// False if the tier cannot be had on this machine: the zone needs memcached.
  bool has(BenchTier tier) const { return tier != BenchTier::kZone || zone_servers_ != nullptr; }

  /// By a session over the encrypted chunks.
  ResumeFigure session(size_t function, const SessionRun& run);
  /// By REAP over plain local files, nothing of them in the page cache.
  double plain_reap_ms(size_t function);
  /// A private mapping of the plain file, all of it in the page cache, or nothing.
  double mapping_ms(size_t function, bool cached);
  /// A private mapping of another file of the same content.
  double mapping_ms(size_t function, const std::string& path);
  /// All memory there before the first touch.
  double present_ms(size_t function);

 private:
  /// Nothing if a chunk was not where it was said to be: then this was no resume from that tier.
  std::optional<ResumeFigure> try_session(size_t function, const SessionRun& run);
  // Tiers are opened before the VMM begins: a worker has them open.
  TierStack& stack_of(BenchTier tier);
  std::unique_ptr<TierStack> make_stack(const TierOptions& options);
  LocalTierOptions local_options() const;
  void fill(TierStack& stack);
  PlainCache& plain_of(size_t function);
  double unserved_ms(size_t function, ReplayBacking backing, const std::string& path);

  const TempDir memory_dir_{"/dev/shm"};
  const TempDir disk_dir_{"/var/tmp"};
  const std::vector<FunctionTrace> traces_;
  const FixedKeys keys_;
  std::unique_ptr<DirStore> store_;
  std::unique_ptr<Catalog> catalog_;
  std::vector<std::unique_ptr<FunctionSnapshot>> snapshots_;
  std::vector<StudyServer> reaps_;  // REAP over plain files
  std::vector<std::unique_ptr<PlainCache>>
      plains_;  // of the hot forms, filled by their first clone

  WorkerPool workers_;
  std::unique_ptr<LoopbackZone> zone_servers_;  // nullptr without memcached
  std::unique_ptr<TierStack> memory_;
  std::unique_ptr<TierStack> zone_;
  std::unique_ptr<TierStack> fresh_;  // local or origin, made anew for each resume
  uint64_t resumes_ = 0;
};

// More comparisons over the same snapshots; empty where the machine cannot mount.
std::vector<Comparison> compare_naive(ResumeBench& bench, const BenchScale& scale);
std::vector<Comparison> compare_clones(ResumeBench& bench, const BenchScale& scale);

/// Compares over all functions: `ours` and `baseline` take a function's number and give
/// milliseconds. The ratio of a function is the median of its rounds' ratios; median and quartiles
/// are over the functions, and so are the two figures.
Comparison compare_functions(const PairedSpec& spec, size_t functions, int rounds,
                             const std::function<double(size_t)>& ours,
                             const std::function<double(size_t)>& baseline);

}  // namespace thaw
