// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/qemu_connection.h"

#include <unistd.h>

#include <chrono>

#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

uint64_t now_ns() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

Result<void> connect(int listener, const QemuVmmOptions& options, uint64_t memory_bytes,
                     const std::function<void()>& on_held, ConnectedQemu& vmm) {
  ASSIGN_OR_RETURN(vmm.process, QemuVmm::start(options));
  if (on_held) on_held();
  TRY(vmm.process->proceed());
  const auto wait = [&](int fd) { return vmm.process->wait_readable(fd); };
  TRY(take_handshake(listener, memory_bytes, wait, vmm));
  vmm.handshake_ns = now_ns();
  return {};
}

}  // namespace

Result<ConnectedQemu> connect_qemu(const QemuVmmOptions& options, uint64_t memory_bytes,
                                   const std::function<void()>& on_held) {
  if (options.way != QemuWay::kUffd) {
    return fail(ErrorCode::kInvalid, "only a guest with userfaultfd connects to a page server");
  }
  ASSIGN_OR_RETURN(const Fd listener, listen_unix(options.socket));
  ConnectedQemu vmm;
  const Result<void> connected = connect(listener.get(), options, memory_bytes, on_held, vmm);
  ::unlink(options.socket.c_str());
  if (!connected) return fail(connected.error());
  return vmm;
}

}  // namespace thaw
