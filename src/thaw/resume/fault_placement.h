// SPDX-License-Identifier: Apache-2.0
//
// FaultPlacement: where the thread that takes a session's faults runs. A fault that is served on
// the core where its thread waits needs no wake-up across cores and finds the page in that core's
// cache; whoever prefetches belongs elsewhere (docs/ARCHITECTURE.md).
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "thaw/base/core_set.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

enum class CorePolicy {
  kNone,    // the scheduler decides
  kCores,   // on a configured set of cores
  kFollow,  // on the core of the thread that faults, as far as the VMM lets us know which that is;
            // else on the configured set
};
const char* to_string(CorePolicy placement);
std::optional<CorePolicy> parse_placement(std::string_view word);

struct PlacementOptions {
  /// nullopt: kCores if there are cores, else kFollow.
  std::optional<CorePolicy> placement;
  CoreSet cores;

  /// kInvalid for kCores without cores.
  Result<void> validate() const;
  CorePolicy decided() const {
    return placement.value_or(cores.empty() ? CorePolicy::kFollow : CorePolicy::kCores);
  }
  /// The cores for everybody else: those of this process that are not `cores`. Empty, no
  /// restriction, if none would be left or no core is set aside.
  CoreSet cores_of_workers() const;
};

/// The core on which a thread last ran: field 39 of proc(5)'s stat; nullopt if `stat` is none. The
/// name of the program, which may hold anything, stands in it in brackets.
std::optional<unsigned> core_of_stat(std::string_view stat);

/// Belongs to the thread that it places. Failures to place are no failures of the session: they go
/// to the log, once, and the thread runs on.
class FaultPlacement {
 public:
  /// Faults between two looks: at least, and at most while the thread stays where it was. A look is
  /// one pread of /proc (2 us), a move one more system call and a change of core (5 us); a look
  /// that finds nothing new doubles the distance to the next one, so that a fault pays 0.4 us at
  /// worst and 10 ns as a rule.
  static constexpr uint32_t kLookFaultsMin = 16;
  static constexpr uint32_t kLookFaultsMax = 256;

  /// `vmm` as this process numbers it.
  FaultPlacement(const PlacementOptions& options, pid_t vmm);

  /// On the thread to be placed, as its first act.
  void start();

  /// A fault was read. `thread_id` as of UffdEvent: 0 if it is not known.
  void fault(uint32_t thread_id) {
    if (!follows_) return;
    ++since_look_;
    if (since_look_ >= (thread_id == thread_ ? interval_ : kLookFaultsMin)) look(thread_id);
  }

  bool follows() const { return follows_; }
  /// How often the thread went to another core to follow. From any thread.
  uint64_t moves() const { return moves_.load(std::memory_order_relaxed); }

 private:
  // A thread of the VMM that faulted lately, and its open stat.
  struct Watched {
    uint32_t thread = 0;
    Fd stat;
  };

  void look(uint32_t thread_id);
  Result<unsigned> core_of(uint32_t thread_id);
  void stop_following(const std::string& why);

  const PlacementOptions options_;
  const pid_t vmm_;
  bool follows_ = false;
  uint32_t thread_ = 0;                   // looked at last
  uint32_t since_look_ = kLookFaultsMax;  // faults; the first one is looked at
  uint32_t interval_ = kLookFaultsMin;
  std::optional<unsigned> core_;  // where this thread is confined to
  CoreSet allowed_;               // before it was
  std::array<Watched, 4> watched_;
  size_t next_watched_ = 0;
  std::atomic<uint64_t> moves_{0};
};

}  // namespace thaw
