// SPDX-License-Identifier: Apache-2.0
//
// RealGuests: real guests in QEMU or Firecracker (lab/real_vmm.h), resumed from a kept snapshot.
#pragma once

#include <string>

#include "thaw/lab/cell.h"
#include "thaw/lab/lab_guest.h"
#include "thaw/lab/real_vmm.h"
#include "thaw/lab/running_guest.h"

namespace thaw {

/// The programs that run a guest: find_guest_driver() and, for QEMU, find_preload_library().
struct GuestPrograms {
  GuestProgram driver;
  std::string preload;
};

/// Borrows nothing; clones are of one guest. Their time is from the command to load the device
/// state, when QEMU's page server begins and Firecracker's gets its handshake, to the reply, which
/// must be the recorded one; with `verify` they make no call, and every page of their memory is
/// compared instead.
class RealGuests final : public GuestStarter {
 public:
  RealGuests(LabGuest guest, GuestPrograms programs, LabInput input, bool verify,
             std::string socket_path)
      : guest_(std::move(guest)),
        programs_(std::move(programs)),
        input_(input),
        verify_(verify),
        socket_path_(std::move(socket_path)) {}

  Result<ServedGuest> start_served(uint64_t clone) const override;
  /// kUnsupported but for a whole file's mapping or all memory present.
  Result<std::unique_ptr<RunningGuest>> start_mapped(uint64_t clone,
                                                     const MappedMemory& memory) const override;

 private:
  RealVmmOptions options_of(uint64_t clone, RealWay way) const;

  const LabGuest guest_;
  const GuestPrograms programs_;
  const LabInput input_;
  const bool verify_;
  const std::string socket_path_;
};

}  // namespace thaw
