// SPDX-License-Identifier: Apache-2.0
//
// RunningGuest: a guest under measurement, whoever runs it. Techniques start one over memory that
// they serve (a page server) or that is mapped, and take its report.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/replay/replay_vmm_options.h"

namespace thaw {

/// How a resume went, as the guest saw it.
struct GuestReport {
  double resume_ms = 0;  // from before its memory is asked for to its last touch, or to its answer
  /// First touches of pages; all 0, and no distribution, where nobody sees single touches.
  LatencySummary first_touch;
  std::vector<uint64_t> first_touch_ns;         // at each of kTouchPercents
  uint64_t private_bytes = 0, share_bytes = 0;  // of its memory (replay/memory_use.h)
  uint64_t pages_checked = 0;                   // compared with the oracle
};

/// A started guest. The destructor ends it.
class RunningGuest {
 public:
  virtual ~RunningGuest() = default;
  /// Completes what its VMM sent. Most have sent it by now; Firecracker does so only while it
  /// loads, so that its guest is let go here: its time begins, and it waits for its first page
  /// until its server begins. Once, for a served guest.
  virtual Result<void> greet(GreetedVmm&) { return {}; }
  /// Lets it go where it stands held before its first page: its time begins. A served guest is let
  /// go when its server begins.
  virtual Result<void> proceed() { return {}; }
  /// Waits for its end. kCorrupt if it saw a wrong page; kUnavailable with what it said if it did
  /// not do as told.
  virtual Result<GuestReport> wait() = 0;
};

/// A guest that waits for its pages, and what its VMM sent.
struct ServedGuest {
  GreetedVmm vmm;  // complete after greet()
  std::unique_ptr<RunningGuest> guest;
  /// Before it is served.
  Result<void> greet() { return guest->greet(vmm); }
};

/// Memory that is had without a page server.
struct MappedMemory {
  ReplayBacking backing = ReplayBacking::kPrivateFile;
  std::string path;
  std::string overlay_path = {};
  std::vector<ReplayRegion> loading_set = {};
};

/// Starts the guests of one cell; each clone has a number. Members may be called from several
/// threads at once.
class GuestStarter {
 public:
  virtual ~GuestStarter() = default;
  virtual Result<ServedGuest> start_served(uint64_t clone) const = 0;
  virtual Result<std::unique_ptr<RunningGuest>> start_mapped(uint64_t clone,
                                                             const MappedMemory& memory) const = 0;
};

}  // namespace thaw
