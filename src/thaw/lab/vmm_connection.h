// SPDX-License-Identifier: Apache-2.0
//
// A replay VMM whose session somebody drives himself: its handshake, taken by hand.
#pragma once

#include <memory>

#include "thaw/base/result.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/session.h"
#include "thaw/resume/vmm_handshake.h"

namespace thaw {

/// A started replay VMM and what it sent.
struct ConnectedVmm {
  std::unique_ptr<ReplayVmm> process;
  Handshake handshake;
  VmmPeer peer;
};

/// Starts a replay VMM on `options.socket_path`, which must be free and is free again afterwards,
/// and takes its handshake. kGone, with what it said, if it ends before. From any thread.
Result<ConnectedVmm> connect_vmm(const ReplayVmmOptions& options, uint64_t image_bytes);

}  // namespace thaw
