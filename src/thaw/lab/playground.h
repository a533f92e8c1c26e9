// SPDX-License-Identifier: Apache-2.0
//
// Playground: the functions' snapshots in every form that a scenario asks for, made when first
// needed, and one measurement of one cell. What is far away is shaped (base/latency_shape.h); what
// is on disk is read past the page cache; every page is compared with the oracle.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/crypto/file_key_provider.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/measurement.h"
#include "thaw/lab/scratch_dir.h"
#include "thaw/lab/study_server.h"
#include "thaw/store/dir_store.h"
#include "thaw/tier/stack.h"

namespace thaw {

struct PlaygroundOptions {
  std::string traces;                      // where the functions' traces are
  std::string memory_parent = "/dev/shm";  // for stores and oracles
  std::string disk_parent;  // for what is read from a disk; a file system with direct I/O
};

/// Belongs to one thread.
class Playground {
 public:
  static Result<std::unique_ptr<Playground>> make(const PlaygroundOptions& options);
  ~Playground();

  /// Loads the cell's function: kNotFound if there are no traces of it, or none of the other input.
  Result<void> check(const Cell& cell);

  /// Resumes once. `seed` is of the shapes' delays. kCorrupt if a page was wrong: then nothing that
  /// is measured here can be trusted.
  Result<Measurement> measure(const Cell& cell, uint64_t seed);

 private:
  struct Home;  // a function's snapshot with chunks of one size
  struct CloneFigure;

  explicit Playground(PlaygroundOptions options);

  Result<const FunctionTrace*> trace_of(const std::string& function);
  Result<Home*> home_of(const Cell& cell);
  Result<TierStack*> stack_of(Home& home, const Cell& cell, uint64_t seed);
  static Result<void> fill(const Home& home, TierStack& stack);
  Result<StudyServer*> study_of(const Cell& cell, const Home& home, uint64_t clone);

  ReplayVmmOptions vmm_of(const Cell& cell, const Home& home, uint64_t clone) const;
  Result<CloneFigure> resume_clone(const Cell& cell, Home& home, TierStack* stack,
                                   StudyServer* study, uint64_t seed, uint64_t clone);
  Result<CloneFigure> resume_by_kernel(const Cell& cell, const Home& home, uint64_t clone) const;
  Result<CloneFigure> resume_by_study(const Cell& cell, const Home& home, StudyServer& study,
                                      uint64_t seed, uint64_t clone) const;
  Result<CloneFigure> resume_by_session(const Cell& cell, const Home& home, TierStack& stack,
                                        uint64_t clone);

  const PlaygroundOptions options_;
  std::unique_ptr<ScratchDir> memory_dir_;
  std::unique_ptr<ScratchDir> disk_dir_;
  std::unique_ptr<FileKeyProvider> keys_;
  WorkerPool workers_;
  std::map<std::string, FunctionTrace> traces_;  // by function
  std::map<std::string, std::unique_ptr<Home>> homes_;
  std::map<std::string, std::unique_ptr<StudyServer>> studies_;
};

}  // namespace thaw
