// SPDX-License-Identifier: Apache-2.0
//
// A VMM for a benchmark that drives a session itself: its handshake, taken by hand.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "thaw/base/check.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/session.h"
#include "thaw/resume/vmm_handshake.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {

struct BenchVmm {
  std::unique_ptr<ReplayVmm> process;
  Handshake handshake;
  VmmPeer peer;
};

/// Starts a replay VMM and takes its handshake. Aborts on any failure: a benchmark has no other
/// answer.
inline BenchVmm connect_vmm(ReplayVmmOptions options, uint64_t image_bytes) {
  const Fd listener = *listen_unix(options.socket_path);
  BenchVmm vmm;
  vmm.process = std::move(*ReplayVmm::start(options));
  pollfd entry{listener.get(), POLLIN, 0};
  CHECK(::poll(&entry, 1, 60'000) == 1);
  vmm.peer.socket = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  CHECK(vmm.peer.socket);
  vmm.peer.process = *peer_of(vmm.peer.socket.get());
  HandshakeReceiver receiver;
  while (*receiver.receive(vmm.peer.socket.get()) != HandshakeReceiver::State::kComplete) {
    pollfd readable{vmm.peer.socket.get(), POLLIN, 0};
    CHECK(::poll(&readable, 1, 60'000) == 1);
  }
  vmm.handshake = *receiver.finish(image_bytes);
  ::unlink(options.socket_path.c_str());
  return vmm;
}

}  // namespace thaw
