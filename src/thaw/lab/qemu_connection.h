// SPDX-License-Identifier: Apache-2.0
//
// A real guest in QEMU whose session somebody drives himself, as lab/vmm_connection.h has it for
// the replay VMM.
#pragma once

#include <cstdint>
#include <memory>

#include "thaw/base/result.h"
#include "thaw/lab/qemu_vmm.h"
#include "thaw/lab/vmm_connection.h"

namespace thaw {

/// A guest that has handed over its memory and stands ready. Its peer is QEMU itself, not the
/// driver. It is ended before its memory is let go.
struct ConnectedQemu : GreetedVmm {
  std::unique_ptr<QemuVmm> process;
};

/// Starts a guest on `options.socket`, which must be free and is free again afterwards, and takes
/// its handshake: one region, which is all of its memory. It asks for no page before proceed(), and
/// for the first ones right after it, to load its device state:
///
///   ASSIGN_OR_RETURN(ConnectedQemu vmm, connect_qemu(options, guest.memory_bytes()));
///   ... start to serve vmm.handshake and vmm.peer, in another thread ...
///   TRY(vmm.process->proceed());
///   ASSIGN_OR_RETURN(const QemuReport report, vmm.process->wait());
///
/// Fails as QemuVmm::start() does, and kInvalid unless options.way is kUffd. From any thread.
Result<ConnectedQemu> connect_qemu(const QemuVmmOptions& options, uint64_t memory_bytes);

}  // namespace thaw
