// SPDX-License-Identifier: Apache-2.0
//
// A VMM whose session somebody drives himself: its handshake, taken by hand.
#pragma once

#include <functional>
#include <memory>

#include "thaw/base/result.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/session.h"
#include "thaw/resume/vmm_handshake.h"

namespace thaw {

/// What a VMM sent, and who it is.
struct GreetedVmm {
  Handshake handshake;
  VmmPeer peer;
};

/// Takes the handshake of the first that connects to the listening socket. `wait` returns when the
/// descriptor that it is given is readable, or fails if that will not be, as when the VMM has
/// ended.
using WaitReadable = std::function<Result<void>(int)>;
Result<void> take_handshake(int listener, uint64_t image_bytes, const WaitReadable& wait,
                            GreetedVmm& vmm);

/// A started replay VMM. It is ended before its memory is let go.
struct ConnectedVmm : GreetedVmm {
  std::unique_ptr<ReplayVmm> process;
};

/// Starts a replay VMM on `options.socket_path`, which must be free and is free again afterwards,
/// and takes its handshake. kGone, with what it said, if it ends before. From any thread.
Result<ConnectedVmm> connect_vmm(const ReplayVmmOptions& options, uint64_t image_bytes);

}  // namespace thaw
