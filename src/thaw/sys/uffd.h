// SPDX-License-Identifier: Apache-2.0
//
// userfaultfd as the kernel speaks it (Documentation/admin-guide/mm/userfaultfd.rst), with each
// ioctl's outcomes folded into the few that a page server must tell apart. Debian 12's kernel
// headers are older than the kernels it runs on, so newer constants are defined here and probed at
// run time.
#pragma once

#include <linux/userfaultfd.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// What became of an install (copy, zero fill, poison).
enum class InstallStatus {
  kDone,      // the whole range was installed and its waiters woken
  kPartial,   // the first `installed_bytes` were; the rest is to be tried again (EAGAIN semantics)
  kAgain,     // nothing was: an event waits to be read (the address space is changing)
  kExists,    // nothing was: the first page is present already
  kGone,      // the address space has gone (ESRCH)
  kUnmapped,  // the range is not, or no longer, registered memory (ENOENT)
  kFailed,    // anything else: `error_number`
};

struct InstallOutcome {
  InstallStatus status = InstallStatus::kFailed;
  uint64_t installed_bytes = 0;
  int error_number = 0;
};

/// Whether an install wakes the threads that wait for its pages. kNo is for pages whose waiters are
/// woken later, each by the answer to its fault.
enum class Wake { kYes, kNo };

/// A page fault or a removed range, as read from the descriptor.
struct UffdEvent {
  enum class Kind { kFault, kRemove, kOther };
  Kind kind = Kind::kOther;
  uint64_t address = 0;  // of the fault (any byte in the page), or the start of the removed range
  uint64_t end = 0;      // end of the removed range
  bool write = false;    // the fault was a write
  uint8_t raw_event = 0;
};

/// A userfaultfd descriptor, non-blocking. Const members may be called from many threads at once:
/// the kernel serialises the ioctls.
class Uffd {
 public:
  Uffd() = default;
  explicit Uffd(Fd fd) : fd_(std::move(fd)) {}

  /// Opens /dev/userfaultfd, else the system call, and agrees on `features` (UFFD_FEATURE_*).
  /// kDenied and kUnsupported say what to change on the machine.
  static Result<Uffd> create(uint64_t features);
  /// The features the running kernel offers, by a descriptor of its own; 0 if none can be opened.
  static uint64_t kernel_features();

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  Result<void> register_missing(uint64_t address, uint64_t bytes) const;
  Result<void> unregister(uint64_t address, uint64_t bytes) const;

  /// Installs `bytes` from `source`; both ends page-aligned.
  InstallOutcome copy(uint64_t address, const void* source, uint64_t bytes,
                      Wake wake = Wake::kYes) const;
  /// Installs zero pages; not for hugetlb memory.
  InstallOutcome zero(uint64_t address, uint64_t bytes, Wake wake = Wake::kYes) const;
  /// Makes every access to the range fail (SIGBUS) instead of waiting. Linux 6.6 and later;
  /// kFailed with ENOTTY or EINVAL before.
  InstallOutcome poison(uint64_t address, uint64_t bytes) const;
  void wake(uint64_t address, uint64_t bytes) const;

  /// Reads the events that wait, at most `out.size()`, without blocking. The count; 0 if none
  /// waits.
  Result<size_t> read_events(std::span<UffdEvent> out) const;

 private:
  Fd fd_;
};

}  // namespace thaw
