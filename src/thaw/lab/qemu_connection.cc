// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/qemu_connection.h"

#include <poll.h>
#include <unistd.h>

#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

/// What a QEMU that stands ready has sent is there.
Result<void> have_readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  if (::poll(&entry, 1, 0) == 1) return {};
  return fail(ErrorCode::kGone,
              "QEMU runs without a handshake; use the preload library that came with this thaw");
}

Result<void> connect(int listener, const QemuVmmOptions& options, uint64_t memory_bytes,
                     ConnectedQemu& vmm) {
  ASSIGN_OR_RETURN(vmm.process, QemuVmm::start(options));
  return take_handshake(listener, memory_bytes, have_readable, vmm);
}

}  // namespace

Result<ConnectedQemu> connect_qemu(const QemuVmmOptions& options, uint64_t memory_bytes) {
  if (options.way != QemuWay::kUffd) {
    return fail(ErrorCode::kInvalid, "only a guest with userfaultfd connects to a page server");
  }
  ASSIGN_OR_RETURN(const Fd listener, listen_unix(options.socket));
  ConnectedQemu vmm;
  const Result<void> connected = connect(listener.get(), options, memory_bytes, vmm);
  ::unlink(options.socket.c_str());
  if (!connected) return fail(connected.error());
  return vmm;
}

}  // namespace thaw
