// SPDX-License-Identifier: Apache-2.0
//
// RealVmm: one measured resume of a real guest, in QEMU or Firecracker, as ReplayVmm is one of a
// played trace. The VMM's driver (`thaw-qemu measure`) runs it and takes the times; this follows
// it.
//
//   ASSIGN_OR_RETURN(const LabGuest guest, load_guest(guests, "json", GuestVmm::kQemu));
//   ASSIGN_OR_RETURN(const GuestProgram driver, find_guest_driver(guest.vmm, {}));
//   RealVmmOptions options = {.driver = driver, .guest = guest.directory};
//   ASSIGN_OR_RETURN(const auto vmm, RealVmm::start(options));
//   TRY(vmm->proceed());
//   ASSIGN_OR_RETURN(const RealReport report, vmm->wait());
//
// Over a page server: connect_real_vmm() (lab/real_connection.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/lab/guest_driver.h"

namespace thaw {

/// How the guest gets its memory.
enum class RealWay {
  kFile,  // a private mapping of a file; through a mount as well, if QEMU may open it for writing
  kPresent,  // the same, all pages brought in before the guest runs: in QEMU alone
  kUffd,     // from a page server
};

/// What the guest does.
enum class RealTask {
  kCallRecorded,
  kCallMeasured,
  kCallOther,
  kVerify,  // nothing: all of its memory is compared with the snapshot's before it runs
};

struct RealVmmOptions {
  GuestProgram driver;  // find_guest_driver()
  std::string preload;  // find_preload_library(); kFile and Firecracker go without
  std::string guest;    // LabGuest::directory
  RealWay way = RealWay::kFile;
  RealTask task = RealTask::kCallMeasured;
  std::string memory;  // not kUffd: where the memory is, if not the guest's own
  std::string socket;  // kUffd: the page server's; at most 107 bytes
  /// The VM's folder, which is made and then keeps the VMM's log; empty: one that goes away. One VM
  /// at a time.
  std::string vm;
  /// The longest wait for one answer of the VMM or of the guest: far above what the slowest of the
  /// techniques takes, which fetches thousands of pages one by one from far away.
  std::chrono::seconds timeout{900};
  /// Set by another thread: wait() and the rest end with kInterrupted. Borrowed.
  const std::atomic<bool>* cancel = nullptr;
};

/// What the driver measured. Times of the monotonic clock (std::chrono::steady_clock), which all
/// processes share.
struct RealReport {
  std::string accelerator;  // "tcg", "kvm" or, of no use for times, "kvm, emulated"
  uint64_t pid = 0;         // of the VMM; it has ended

  // Of a call. The reply was right: its digest, its boot_id and its count of calls are those of the
  // warm process that was snapshot.
  uint64_t started_ns = 0;  // just before the VMM was started
  uint64_t ready_ns = 0;    // it stands ready; then it is held until proceed()
  uint64_t loading_ns = 0;  // just before it is told to load the device state
  uint64_t loaded_ns = 0;
  uint64_t running_ns = 0;  // the guest
  uint64_t asked_ns = 0;    // just before the request
  uint64_t replied_ns = 0;
  uint64_t minor_faults = 0, major_faults = 0;  // of the VMM, from loading_ns to the reply
  double cpu_ms = 0;                            // the same
  double total_cpu_ms = 0;                      // of the VMM since its start
  uint64_t rss_bytes = 0, pss_bytes = 0, private_bytes = 0;  // of guest memory, at the reply

  // Of kVerify: every page was right.
  uint64_t pages_compared = 0;
  uint64_t data_pages = 0;  // of these, not zero

  /// The VMM's own start, in which QEMU's ways differ by what they do with its memory.
  double start_ms() const { return between(started_ns, ready_ns); }
  /// From proceed() until the guest runs.
  double load_ms() const { return between(loading_ns, running_ns); }
  /// From the request to the reply.
  double call_ms() const { return between(asked_ns, replied_ns); }
  /// From proceed() to the reply: what to compare, as a page server begins to serve at proceed().
  double loaded_call_ms() const { return between(loading_ns, replied_ns); }
  /// The same with the VMM's own start; without the time that it was held.
  double total_ms() const { return start_ms() + loaded_call_ms(); }

 private:
  static double between(uint64_t begin_ns, uint64_t end_ns) {
    return static_cast<double>(end_ns - begin_ns) / 1e6;
  }
};

/// Belongs to one thread at a time. The destructor has the driver end its guest, and waits.
class RealVmm {
 public:
  /// Returns when the VMM stands ready to load its device state. QEMU has mapped its memory then,
  /// with kPresent all of it, with kUffd it has sent its handshake, and else it has touched none;
  /// Firecracker does all that while it loads. Fails as GuestDriver::next() does, and kInvalid if
  /// the options contradict themselves. From any thread; the driver notices by its input if this
  /// process is killed.
  static Result<std::unique_ptr<RealVmm>> start(const RealVmmOptions& options);

  /// Lets it go on: to load, to run, to be called. Once.
  Result<void> proceed();
  /// Until `fd` is readable, which the VMM is to bring about. Fails as wait() does if it ends
  /// before.
  Result<void> wait_readable(int fd);
  /// What was measured; the VMM has ended. kCorrupt if a page or the reply was wrong; kInterrupted
  /// if cancelled; kUnavailable, with what the driver says failed. Once. A page server serves
  /// meanwhile, in another thread.
  Result<RealReport> wait();

 private:
  RealVmm(RealVmmOptions options, std::unique_ptr<GuestDriver> driver)
      : options_(std::move(options)), driver_(std::move(driver)) {}

  const RealVmmOptions options_;
  const std::unique_ptr<GuestDriver> driver_;
};

}  // namespace thaw
