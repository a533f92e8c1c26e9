// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/uffd.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>

// Linux 6.1 and 6.6; Debian 12's headers lack some of them.
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace thaw {
namespace {

// Linux 6.6 (include/uapi/linux/userfaultfd.h), under own names so that newer headers do not clash.
struct PoisonRequest {
  uffdio_range range;
  __u64 mode;
  __s64 updated;
};
constexpr unsigned long kPoisonIoctl = _IOWR(UFFDIO, 0x08, PoisonRequest);

Fd open_uffd() {
  const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device) {
    Fd fd(::ioctl(device.get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
    if (fd) return fd;
  }
  return Fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
}

// The kernel reports what it did in a field of the request (`progress`: bytes, or a negative errno)
// and says "not all of it" with EAGAIN, so both places have to be read (vmm protocol notes: the two
// encodings of EAGAIN).
InstallOutcome outcome_of(int result, int error_number, int64_t progress, uint64_t bytes) {
  if (result == 0 && (progress < 0 || static_cast<uint64_t>(progress) == bytes)) {
    if (progress < 0) return outcome_of(-1, static_cast<int>(-progress), 0, bytes);
    return {InstallStatus::kDone, bytes, 0};
  }
  if (progress > 0) return {InstallStatus::kPartial, static_cast<uint64_t>(progress), 0};
  if (progress < 0) error_number = static_cast<int>(-progress);
  switch (error_number) {
    case 0:
    case EAGAIN:
      return {InstallStatus::kAgain, 0, EAGAIN};
    case EEXIST:
      return {InstallStatus::kExists, 0, EEXIST};
    case ESRCH:
      return {InstallStatus::kGone, 0, ESRCH};
    case ENOENT:
      return {InstallStatus::kUnmapped, 0, ENOENT};
    default:
      return {InstallStatus::kFailed, 0, error_number};
  }
}

}  // namespace

Result<Uffd> Uffd::create(uint64_t features) {
  Fd fd = open_uffd();
  if (!fd) {
    const int error_number = errno;
    if (error_number == ENOSYS) {
      return fail(ErrorCode::kUnsupported,
                  "this kernel has no userfaultfd: it needs CONFIG_USERFAULTFD");
    }
    return fail_errno(
        "cannot open a userfaultfd; run as root, or allow /dev/userfaultfd to this user, or set "
        "vm.unprivileged_userfaultfd=1",
        error_number);
  }
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (::ioctl(fd.get(), UFFDIO_API, &api) != 0) {
    return fail_errno("this kernel refuses the userfaultfd features asked for", errno);
  }
  return Uffd(std::move(fd));
}

uint64_t Uffd::kernel_features() {
  const Fd fd = open_uffd();
  uffdio_api api{};
  api.api = UFFD_API;
  if (!fd || ::ioctl(fd.get(), UFFDIO_API, &api) != 0) return 0;
  return api.features;
}

Result<void> Uffd::register_missing(uint64_t address, uint64_t bytes) const {
  uffdio_register request{};
  request.range = {address, bytes};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0) {
    return fail_errno("cannot register memory with userfaultfd", errno);
  }
  return {};
}

Result<void> Uffd::unregister(uint64_t address, uint64_t bytes) const {
  uffdio_range range{address, bytes};
  if (::ioctl(fd_.get(), UFFDIO_UNREGISTER, &range) != 0) {
    return fail_errno("cannot unregister memory from userfaultfd", errno);
  }
  return {};
}

InstallOutcome Uffd::copy(uint64_t address, const void* source, uint64_t bytes, Wake wake) const {
  uffdio_copy request{};
  request.dst = address;
  // SAFETY: the kernel reads `bytes` bytes at this address of the calling process.
  request.src = reinterpret_cast<uint64_t>(source);
  request.len = bytes;
  request.mode = wake == Wake::kNo ? UFFDIO_COPY_MODE_DONTWAKE : 0;
  const int result = ::ioctl(fd_.get(), UFFDIO_COPY, &request);
  return outcome_of(result, result == 0 ? 0 : errno, request.copy, bytes);
}

InstallOutcome Uffd::zero(uint64_t address, uint64_t bytes, Wake wake) const {
  uffdio_zeropage request{};
  request.range = {address, bytes};
  request.mode = wake == Wake::kNo ? UFFDIO_ZEROPAGE_MODE_DONTWAKE : 0;
  const int result = ::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request);
  return outcome_of(result, result == 0 ? 0 : errno, request.zeropage, bytes);
}

InstallOutcome Uffd::poison(uint64_t address, uint64_t bytes) const {
  PoisonRequest request{};
  request.range = {address, bytes};
  const int result = ::ioctl(fd_.get(), kPoisonIoctl, &request);
  return outcome_of(result, result == 0 ? 0 : errno, request.updated, bytes);
}

void Uffd::wake(uint64_t address, uint64_t bytes) const {
  uffdio_range range{address, bytes};
  // A failure means the address space has gone, and its waiters with it.
  ::ioctl(fd_.get(), UFFDIO_WAKE, &range);
}

Result<size_t> Uffd::read_events(std::span<UffdEvent> out) const {
  std::array<uffd_msg, 64> messages;
  const size_t wanted = std::min(out.size(), messages.size());
  const ssize_t got = ::read(fd_.get(), messages.data(), wanted * sizeof(uffd_msg));
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return size_t{0};
    return fail_errno("cannot read events from the userfaultfd", errno);
  }
  const size_t count = static_cast<size_t>(got) / sizeof(uffd_msg);
  for (size_t i = 0; i < count; ++i) {
    const uffd_msg& message = messages[i];
    UffdEvent& event = out[i];
    event = UffdEvent{};
    event.raw_event = message.event;
    if (message.event == UFFD_EVENT_PAGEFAULT) {
      event.kind = UffdEvent::Kind::kFault;
      event.address = message.arg.pagefault.address;
      event.write = (message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
    } else if (message.event == UFFD_EVENT_REMOVE) {
      event.kind = UffdEvent::Kind::kRemove;
      event.address = message.arg.remove.start;
      event.end = message.arg.remove.end;
    }
  }
  return count;
}

}  // namespace thaw
