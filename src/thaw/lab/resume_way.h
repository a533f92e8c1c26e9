// SPDX-License-Identifier: Apache-2.0
//
// ResumeWay: one technique at work, from one measurement's beginning to its end. There are four:
// the kernel's mappings, the study's page server, thaw's sessions, and thaw's mount.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/lab/cell.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/measurement.h"
#include "thaw/lab/running_guest.h"
#include "thaw/lab/study_server.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// What is measured; all borrowed.
struct WayContext {
  const Cell& cell;
  const std::vector<const FunctionSnapshot*>& snapshots;  // one for each clone
  const GuestStarter& guests;
  uint64_t seed;  // of shapes
};

class ResumeWay {
 public:
  virtual ~ResumeWay() = default;
  /// Resumes one clone to its end; clones from several threads at once. kCorrupt if a page was
  /// wrong.
  virtual Result<GuestReport> resume(uint64_t clone) = 0;
  /// After all clones: what they cost. What the way does not count stays 0.
  virtual void add_costs(Measurement& measurement) const = 0;
};

/// Page cache full or empty, as the technique says. Borrows the context.
Result<std::unique_ptr<ResumeWay>> make_kernel_way(const WayContext& context);

/// The study's servers, with their files, by what they serve; kept from one measurement to the
/// next.
using StudyServers = std::map<std::string, std::unique_ptr<StudyServer>>;
/// Makes the servers that are missing; their files begin with `working_path`.
Result<std::unique_ptr<ResumeWay>> make_study_way(const WayContext& context, StudyServers& servers,
                                                  const std::string& working_path);

Result<std::unique_ptr<ResumeWay>> make_session_way(const WayContext& context, TierStack& stack,
                                                    WorkerPool& workers);

/// Mounted at `mountpoint`, an empty directory, until the way is destroyed. kUnsupported or kDenied
/// where FUSE is missing or not permitted.
Result<std::unique_ptr<ResumeWay>> make_mount_way(const WayContext& context, TierStack& stack,
                                                  const Catalog& catalog, const KeyProvider& keys,
                                                  const std::string& mountpoint);

}  // namespace thaw
