// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/real_connection.h"

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

}  // namespace

Result<std::unique_ptr<AwaitedHandshake>> AwaitedHandshake::listen(const std::string& path,
                                                                   uint64_t memory_bytes) {
  ASSIGN_OR_RETURN(Fd listener, listen_unix(path));
  return std::unique_ptr<AwaitedHandshake>(
      new AwaitedHandshake(path, std::move(listener), memory_bytes));
}

AwaitedHandshake::~AwaitedHandshake() { ::unlink(path_.c_str()); }

Result<void> AwaitedHandshake::take(const WaitReadable& wait, GreetedVmm& vmm) {
  return take_handshake(listener_.get(), memory_bytes_, wait, vmm);
}

Result<ConnectedRealVmm> connect_real_vmm(const RealVmmOptions& options, uint64_t memory_bytes) {
  if (options.way != RealWay::kUffd) {
    return fail(ErrorCode::kInvalid, "only a guest with userfaultfd connects to a page server");
  }
  ConnectedRealVmm vmm;
  ASSIGN_OR_RETURN(vmm.awaited, AwaitedHandshake::listen(options.socket, memory_bytes));
  ASSIGN_OR_RETURN(vmm.process, RealVmm::start(options));
  if (options.driver.vmm == GuestVmm::kFirecracker) return vmm;
  TRY(vmm.awaited->take(have_readable, vmm));
  vmm.awaited.reset();
  return vmm;
}

Result<void> proceed_to_handshake(RealVmm& process, AwaitedHandshake& awaited, GreetedVmm& vmm) {
  TRY(process.proceed());
  return awaited.take([&process](int fd) { return process.wait_readable(fd); }, vmm);
}

}  // namespace thaw
