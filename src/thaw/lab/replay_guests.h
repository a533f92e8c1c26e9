// SPDX-License-Identifier: Apache-2.0
//
// ReplayGuests: guests that play a trace (replay/replay_vmm.h).
#pragma once

#include <string>
#include <vector>

#include "thaw/lab/cell.h"
#include "thaw/lab/function_snapshot.h"
#include "thaw/lab/running_guest.h"

namespace thaw {

class ReplayGuests final : public GuestStarter {
 public:
  /// `snapshots` are the clones', borrowed; sockets begin with `socket_path`.
  ReplayGuests(std::vector<const FunctionSnapshot*> snapshots, LabInput input,
               std::string socket_path)
      : snapshots_(std::move(snapshots)), input_(input), socket_path_(std::move(socket_path)) {}

  Result<ServedGuest> start_served(uint64_t clone) const override;
  Result<std::unique_ptr<RunningGuest>> start_mapped(uint64_t clone,
                                                     const MappedMemory& memory) const override;

 private:
  ReplayVmmOptions options_of(uint64_t clone) const;

  const std::vector<const FunctionSnapshot*> snapshots_;
  const LabInput input_;
  const std::string socket_path_;
};

}  // namespace thaw
