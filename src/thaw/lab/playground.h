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
#include "thaw/lab/function_trace.h"
#include "thaw/lab/lab_guest.h"
#include "thaw/lab/lab_home.h"
#include "thaw/lab/lab_zone.h"
#include "thaw/lab/measurement.h"
#include "thaw/lab/real_guests.h"
#include "thaw/lab/resume_way.h"
#include "thaw/sys/scratch_dir.h"

namespace thaw {

struct PlaygroundOptions {
  std::string traces;                      // where the functions' traces are
  std::string memory_parent = "/dev/shm";  // for stores and oracles
  std::string disk_parent;  // for what is read from a disk; a file system with direct I/O
  std::string guests;       // what `thaw lab trace --guests` kept; for cells with a real guest
  GuestPrograms programs;   // the same
};

/// Belongs to one thread, which lives as long: servers of the lab's zone end with it.
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
  explicit Playground(PlaygroundOptions options);

  Result<const FunctionTrace*> trace_of(const Cell& cell);
  Result<LabHome*> home_of(const Cell& cell);
  Result<LabZone*> zone_of(const Cell& cell);
  /// Of a cell with a real guest.
  Result<const LabGuest*> guest_of(const Cell& cell);
  Result<std::unique_ptr<GuestStarter>> guests_of(
      const Cell& cell, const std::vector<const FunctionSnapshot*>& snapshots, bool verify);
  Result<TierStack*> stack_of(const Cell& cell, LabHome& home,
                              const std::vector<const FunctionSnapshot*>& snapshots, uint64_t seed);
  /// The pages that were compared.
  Result<uint64_t> verify_once(const Cell& cell, LabHome& home,
                               const std::vector<const FunctionSnapshot*>& snapshots,
                               uint64_t seed);
  Result<std::unique_ptr<ResumeWay>> way_of(const WayContext& context, const LabHome& home,
                                            TierStack* stack);

  const PlaygroundOptions options_;
  std::unique_ptr<ScratchDir> memory_dir_;
  std::unique_ptr<ScratchDir> disk_dir_;
  std::unique_ptr<FileKeyProvider> keys_;
  WorkerPool workers_;
  std::unique_ptr<LabZone> zone_;
  std::map<std::string, FunctionTrace> traces_;        // by function
  std::map<std::string, FunctionTrace> guest_traces_;  // of the kept snapshots
  std::map<std::string, LabGuest> guests_;             // by function
  std::map<std::string, uint64_t> verified_;           // pages, by the key of a real guest's cell
  std::map<std::string, std::unique_ptr<LabHome>> homes_;
  StudyServers studies_;
};

}  // namespace thaw
