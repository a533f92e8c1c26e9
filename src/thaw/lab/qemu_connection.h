// SPDX-License-Identifier: Apache-2.0
//
// A real guest in QEMU whose session somebody drives himself, as lab/vmm_connection.h has it for
// the replay VMM.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "thaw/base/result.h"
#include "thaw/lab/qemu_vmm.h"
#include "thaw/lab/vmm_connection.h"

namespace thaw {

/// A guest that waits for its pages. Its peer is QEMU itself, not the driver. It is ended before
/// its memory is let go.
struct ConnectedQemu : GreetedVmm {
  uint64_t handshake_ns = 0;  // when it had come, on the clock of QemuReport
  std::unique_ptr<QemuVmm> process;
};

/// Starts a guest on `options.socket`, which must be free and is free again afterwards, and takes
/// its handshake: one region, which is all of its memory. QEMU asks for pages from the moment it
/// loads its device state, so serve at once; then wait() for the report. `on_held` is called when
/// all is ready but QEMU, so that several can be let go together. Fails as QemuVmm does, and
/// kInvalid unless options.way is kUffd. From any thread.
Result<ConnectedQemu> connect_qemu(const QemuVmmOptions& options, uint64_t memory_bytes,
                                   const std::function<void()>& on_held = {});

}  // namespace thaw
