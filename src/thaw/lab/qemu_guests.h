// SPDX-License-Identifier: Apache-2.0
//
// QemuGuests: real guests in QEMU (lab/qemu_vmm.h), resumed from a kept snapshot.
#pragma once

#include <string>

#include "thaw/lab/cell.h"
#include "thaw/lab/lab_guest.h"
#include "thaw/lab/qemu_vmm.h"
#include "thaw/lab/running_guest.h"

namespace thaw {

/// The programs that run a guest: find_guest_driver(), find_preload_library().
struct QemuPrograms {
  std::string driver;
  std::string preload;
};

/// Borrows nothing; clones are of one guest. Their time is from the command to load the device
/// state, when their page server begins, to the reply, which must be the recorded one; with
/// `verify` they make no call, and every page of their memory is compared instead.
class QemuGuests final : public GuestStarter {
 public:
  QemuGuests(LabGuest guest, QemuPrograms programs, LabInput input, bool verify,
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
  QemuVmmOptions options_of(uint64_t clone, QemuWay way) const;

  const LabGuest guest_;
  const QemuPrograms programs_;
  const LabInput input_;
  const bool verify_;
  const std::string socket_path_;
};

}  // namespace thaw
