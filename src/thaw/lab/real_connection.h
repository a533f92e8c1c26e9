// SPDX-License-Identifier: Apache-2.0
//
// A real guest whose session somebody drives himself, as lab/vmm_connection.h has it for the replay
// VMM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/lab/real_vmm.h"
#include "thaw/lab/vmm_connection.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// A socket on which a VMM will send its handshake. The destructor takes its name away.
class AwaitedHandshake {
 public:
  /// On `path`, which must be free; from a guest of that much memory.
  static Result<std::unique_ptr<AwaitedHandshake>> listen(const std::string& path,
                                                          uint64_t memory_bytes);
  ~AwaitedHandshake();
  AwaitedHandshake(const AwaitedHandshake&) = delete;
  AwaitedHandshake& operator=(const AwaitedHandshake&) = delete;

  /// As take_handshake(). Once.
  Result<void> take(const WaitReadable& wait, GreetedVmm& vmm);

 private:
  AwaitedHandshake(std::string path, Fd listener, uint64_t memory_bytes)
      : path_(std::move(path)), listener_(std::move(listener)), memory_bytes_(memory_bytes) {}

  const std::string path_;
  const Fd listener_;
  const uint64_t memory_bytes_;
};

/// A guest that stands ready. Its peer is the VMM itself, not the driver. It is ended before its
/// memory is let go.
struct ConnectedRealVmm : GreetedVmm {
  std::unique_ptr<RealVmm> process;
  /// Where a handshake is still to come; nothing if it has been taken.
  std::unique_ptr<AwaitedHandshake> awaited;
};

/// Starts a guest on `options.socket`, which must be free and is free again when the handshake has
/// been taken: one region, which is all of its memory. QEMU's is taken here. It asks for no page
/// before proceed(), and for the first ones right after it, to load its device state:
///
///   ASSIGN_OR_RETURN(ConnectedRealVmm vmm, connect_real_vmm(options, guest.memory_bytes()));
///   ... start to serve vmm.handshake and vmm.peer, in another thread ...
///   TRY(vmm.process->proceed());
///   ASSIGN_OR_RETURN(const RealReport report, vmm.process->wait());
///
/// Firecracker sends it while it loads, so that the second and third line change places, and
/// proceed_to_handshake() stands for proceed().
///
/// Fails as RealVmm::start() does, and kInvalid unless options.way is kUffd. From any thread.
Result<ConnectedRealVmm> connect_real_vmm(const RealVmmOptions& options, uint64_t memory_bytes);

/// Lets a guest go whose handshake is awaited, and takes that; it then waits for its first page
/// until somebody serves. Fails as RealVmm::wait() does if it sends none.
Result<void> proceed_to_handshake(RealVmm& process, AwaitedHandshake& awaited, GreetedVmm& vmm);

}  // namespace thaw
