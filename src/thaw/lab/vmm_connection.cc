// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/vmm_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

constexpr int kHandshakeMsMax = 60'000;

/// Until `fd` is readable; kGone if the process ends first.
Result<void> wait_readable(int fd, ReplayVmm& process) {
  std::array<pollfd, 2> entries{pollfd{fd, POLLIN, 0}, pollfd{process.pidfd(), POLLIN, 0}};
  int ready = 0;
  do {
    ready = ::poll(entries.data(), entries.size(), kHandshakeMsMax);
  } while (ready < 0 && errno == EINTR);
  if (ready > 0 && entries[0].revents != 0) return {};
  return fail(ErrorCode::kGone,
              "no handshake from the " + process.wait(std::chrono::milliseconds(0)).describe());
}

}  // namespace

Result<void> take_handshake(int listener, uint64_t image_bytes, const WaitReadable& wait,
                            GreetedVmm& vmm) {
  TRY(wait(listener));
  vmm.peer.socket = Fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!vmm.peer.socket) return fail_errno("cannot accept the VMM", errno);
  ASSIGN_OR_RETURN(vmm.peer.process, peer_of(vmm.peer.socket.get()));
  HandshakeReceiver receiver;
  while (true) {
    ASSIGN_OR_RETURN(const auto state, receiver.receive(vmm.peer.socket.get()));
    if (state == HandshakeReceiver::State::kComplete) break;
    TRY(wait(vmm.peer.socket.get()));
  }
  ASSIGN_OR_RETURN(vmm.handshake, receiver.finish(image_bytes));
  return {};
}

Result<ConnectedVmm> connect_vmm(const ReplayVmmOptions& options, uint64_t image_bytes) {
  ASSIGN_OR_RETURN(const Fd listener, listen_unix(options.socket_path));
  ConnectedVmm vmm;
  Result<std::unique_ptr<ReplayVmm>> process = ReplayVmm::start(options);
  Result<void> taken;
  if (process) {
    vmm.process = std::move(*process);
    const auto wait = [&](int fd) { return wait_readable(fd, *vmm.process); };
    taken = take_handshake(listener.get(), image_bytes, wait, vmm);
  } else {
    taken = fail(std::move(process).error());
  }
  ::unlink(options.socket_path.c_str());
  if (!taken) return fail(std::move(taken).error());
  return vmm;
}

}  // namespace thaw
