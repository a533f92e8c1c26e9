// SPDX-License-Identifier: Apache-2.0
//
// Firecracker's userfaultfd handshake, from the VMM's side, in every variant and with every defect
// that ReplayHandshake names.
#pragma once

#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/replay/replay_vmm_options.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Where a region stands in the replay VMM's address space.
struct PlacedRegion {
  uint64_t base = 0;
  ReplayRegion region;
};

/// The JSON array that Firecracker sends, its fields in the order of Firecracker's struct.
std::string handshake_body(const ReplayHandshake& handshake,
                           const std::vector<PlacedRegion>& regions, uint64_t page_bytes);

/// Sends what is to be sent, on a connected socket. kGone if the peer has closed it.
Result<void> send_handshake(int socket, const ReplayHandshake& handshake, const std::string& body,
                            int uffd);

}  // namespace thaw
