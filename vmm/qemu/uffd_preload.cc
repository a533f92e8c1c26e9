// SPDX-License-Identifier: Apache-2.0
//
// Preload library that turns a QEMU into a VMM with userfaultfd-backed guest memory.
//
// QEMU hands its guest memory's userfaultfd to nobody. This library overrides mmap and mmap64; when
// the file mapped is the guest memory file, it does what THAW_PRELOAD_MODE says.
//
// `uffd` maps anonymous private memory instead, registers it with a userfaultfd (missing pages),
// and sends the handshake of Firecracker v1.12 and later to a page server: one sendmsg with a JSON
// array of one region and the userfaultfd in SCM_RIGHTS. Socket and userfaultfd stay open for the
// life of the process: the page server sees the VMM's end as a hang-up, and its own end stalls the
// guest instead of feeding it zeros.
//
// `populate` maps the file as asked and brings in every page before mmap returns.
//
// Environment: THAW_PRELOAD_MODE; THAW_PRELOAD_MEMORY, the guest memory file; THAW_PRELOAD_SOCKET
// (uffd mode), the page server's Unix socket. The file's contents are not read in uffd mode.
//
// Fails closed: whatever goes wrong is one line on stderr and a failed mmap, never plain memory in
// place of the guest's. Threads: mmap may be called on any thread; the guest memory is handed over
// at most once in a process.

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>

namespace {

// The system call takes the offset as one register, in bytes.
static_assert(sizeof(void*) == 8 && sizeof(off_t) == 8, "64-bit systems only");

constexpr const char* kModeVariable = "THAW_PRELOAD_MODE";
constexpr const char* kMemoryVariable = "THAW_PRELOAD_MEMORY";
constexpr const char* kSocketVariable = "THAW_PRELOAD_SOCKET";

// One region of the longest numbers takes 160 bytes.
constexpr size_t kHandshakeBytesMax = 512;

enum class Mode { kOff, kUffd, kPopulate, kInvalid };

struct Request {
  void* address;
  size_t length;
  int protection;
  int flags;
  int fd;
  off_t offset;
};

// The page server's socket and the userfaultfd stay open until the process ends, so nothing holds
// on to their numbers.
struct Handover {
  int uffd = -1;
  int socket = -1;
};

std::atomic<bool> g_handed_over{false};

// Reports with errno's text, and returns what a failed mmap returns, errno being kept.
void* fail(const char* what, const char* object, const char* remedy) {
  const int error = errno;
  dprintf(STDERR_FILENO, "thaw preload: %s %s: %s; %s\n", what, object, strerror(error), remedy);
  errno = error;
  return MAP_FAILED;
}

void* fail_with(int error, const char* what, const char* object, const char* remedy) {
  errno = error;
  return fail(what, object, remedy);
}

// The system call itself: dlsym may allocate, and so map memory, before it knows the function it
// looks for.
void* kernel_mmap(const Request& r) {
  // SAFETY: the caller's arguments, or anonymous memory over the range the caller gave away.
  const long result = syscall(SYS_mmap, r.address, r.length, r.protection, r.flags, r.fd, r.offset);
  // SAFETY: the kernel returns an address, or -1, which is MAP_FAILED.
  return reinterpret_cast<void*>(result);
}

Mode mode_from_environment() {
  const char* text = getenv(kModeVariable);
  if (text == nullptr) return Mode::kOff;
  if (strcmp(text, "uffd") == 0) return Mode::kUffd;
  if (strcmp(text, "populate") == 0) return Mode::kPopulate;
  return Mode::kInvalid;
}

// Whether `fd` is the file `named`, whatever its path was when it was opened.
bool is_same_file(int fd, const struct stat& named) {
  struct stat opened{};
  if (fstat(fd, &opened) != 0) return false;
  return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

bool is_private(const Request& r) { return (r.flags & MAP_TYPE) == MAP_PRIVATE; }

// A userfaultfd that may serve faults of the kernel too, as QEMU's device emulation reads and
// writes guest memory.
int open_userfaultfd() {
  constexpr int kFlags = O_CLOEXEC | O_NONBLOCK;
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device >= 0) {
    // SAFETY: takes flags by value, returns a new fd.
    const int uffd = ioctl(device, USERFAULTFD_IOC_NEW, kFlags);
    const int error = errno;
    close(device);
    errno = error;
    return uffd;
  }
  return static_cast<int>(syscall(SYS_userfaultfd, kFlags));
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = strlen(path);
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, length);  // the rest is zeros
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // SAFETY: sockaddr_un is a sockaddr by its family.
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

// One message: the region as a JSON array, the userfaultfd beside it. Returns false with errno set.
bool send_handshake(const Handover& to, const void* base, size_t size, off_t offset) {
  const size_t page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char body[kHandshakeBytesMax];
  // `page_size_kib` carries bytes, as Firecracker's does.
  const int length = snprintf(body, sizeof body,
                              "[{\"base_host_virt_addr\":%zu,\"size\":%zu,\"offset\":%zu,"
                              "\"page_size\":%zu,\"page_size_kib\":%zu}]",
                              reinterpret_cast<uintptr_t>(base), size, static_cast<size_t>(offset),
                              page_size, page_size);
  if (length <= 0 || static_cast<size_t>(length) >= sizeof body) {
    errno = EOVERFLOW;
    return false;
  }
  iovec part{body, static_cast<size_t>(length)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &to.uffd, sizeof(int));
  ssize_t sent;
  do {
    sent = sendmsg(to.socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return false;
  if (sent != static_cast<ssize_t>(length)) {
    errno = EMSGSIZE;
    return false;
  }
  return true;
}

bool enable_features(int uffd, uint64_t features) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  // SAFETY: the kernel reads and writes one uffdio_api.
  return ioctl(uffd, UFFDIO_API, &api) == 0;
}

// With the faulting thread's number in each fault the page server can serve it on the same core; it
// does without where the kernel (before 4.14) has none. A refused request leaves the descriptor as
// it was.
bool enable(int uffd) {
  return enable_features(uffd, UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_THREAD_ID) ||
         enable_features(uffd, UFFD_FEATURE_EVENT_REMOVE);
}

bool register_missing(int uffd, void* base, size_t size) {
  uffdio_register range{};
  range.range.start = reinterpret_cast<uintptr_t>(base);
  range.range.len = size;
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  // SAFETY: the kernel reads and writes one uffdio_register.
  return ioctl(uffd, UFFDIO_REGISTER, &range) == 0;
}

// Undoes a mapping in place: what the caller had reserved under MAP_FIXED stays reserved and
// unusable.
void take_back(void* base, const Request& r) {
  const int error = errno;
  if ((r.flags & MAP_FIXED) != 0) {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    kernel_mmap({base, r.length, PROT_NONE, kFlags, -1, 0});
  } else {
    munmap(base, r.length);
  }
  errno = error;
}

void close_both(const Handover& h) {
  const int error = errno;
  if (h.uffd >= 0) close(h.uffd);
  if (h.socket >= 0) close(h.socket);
  errno = error;
}

// Everything but the flag of the one handover. On failure nothing is left open or mapped.
void* map_served(const Request& r, const char* memory, const char* socket_path) {
  Handover h;
  h.uffd = open_userfaultfd();
  if (h.uffd < 0) {
    return fail("cannot create a userfaultfd for", memory,
                "allow /dev/userfaultfd or set vm.unprivileged_userfaultfd=1");
  }
  if (!enable(h.uffd)) {
    fail("cannot enable EVENT_REMOVE on the userfaultfd for", memory, "use Linux 4.11 or later");
    close_both(h);
    return MAP_FAILED;
  }
  h.socket = connect_to(socket_path);
  if (h.socket < 0) {
    fail("cannot connect to the page server at", socket_path, "start the page server first");
    close_both(h);
    return MAP_FAILED;
  }
  // MAP_POPULATE must not pass: it would fill the memory with zeros before it is registered.
  Request anonymous = r;
  anonymous.flags =
      MAP_PRIVATE | MAP_ANONYMOUS | (r.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE));
  anonymous.fd = -1;
  anonymous.offset = 0;
  void* base = kernel_mmap(anonymous);
  if (base == MAP_FAILED) {
    fail("cannot map anonymous memory for", memory, "free memory or give the guest less");
    close_both(h);
    return MAP_FAILED;
  }
  if (!register_missing(h.uffd, base, r.length)) {
    fail("cannot register with the userfaultfd the memory of", memory,
         "check the kernel's userfaultfd");
  } else if (!send_handshake(h, base, r.length, r.offset)) {
    fail("cannot send the handshake to the page server at", socket_path,
         "see the page server's log");
  } else {
    return base;
  }
  take_back(base, anonymous);
  close_both(h);
  return MAP_FAILED;
}

void* map_uffd(const Request& r, const char* memory) {
  const char* socket_path = getenv(kSocketVariable);
  if (socket_path == nullptr) {
    return fail_with(EINVAL, "no page server for", memory, "set THAW_PRELOAD_SOCKET to its socket");
  }
  const size_t page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (r.length % page_size != 0 || static_cast<size_t>(r.offset) % page_size != 0) {
    return fail_with(EINVAL, "cannot serve part of a page of", memory,
                     "use a whole number of pages");
  }
  // The handshake carries one region, and a second mapping of one file would see other bytes than
  // the first.
  if (g_handed_over.exchange(true)) {
    return fail_with(EBUSY, "already handed over:", memory, "map the guest memory once");
  }
  void* base = map_served(r, memory, socket_path);
  if (base == MAP_FAILED) g_handed_over.store(false);
  return base;
}

// MAP_POPULATE would hide pages that cannot be read; the advice reports them.
void* map_populated(const Request& r, const char* memory) {
  void* base = kernel_mmap(r);
  if (base == MAP_FAILED) return fail("cannot map", memory, "check the file and its mount");
  const int advice = (r.protection & PROT_WRITE) != 0 ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (madvise(base, r.length, advice) == 0) return base;
  fail("cannot bring in every page of", memory,
       "check the file's size and mount, and Linux >= 5.14");
  take_back(base, r);
  return MAP_FAILED;
}

void* map(const Request& r) {
  if ((r.flags & MAP_ANONYMOUS) != 0 || r.fd < 0) return kernel_mmap(r);
  const Mode mode = mode_from_environment();
  if (mode == Mode::kOff) return kernel_mmap(r);
  // Without a valid setup no file is known not to be the guest memory, so none is mapped.
  const char* memory = getenv(kMemoryVariable);
  if (memory == nullptr) {
    return fail_with(EINVAL, "not set:", kMemoryVariable, "name the guest memory file");
  }
  if (mode == Mode::kInvalid) {
    return fail_with(EINVAL, "not a mode:", getenv(kModeVariable), "set it to uffd or populate");
  }
  struct stat named{};
  if (stat(memory, &named) != 0) {
    return fail("cannot find", memory, "create the file before the VMM starts");
  }
  if (!is_same_file(r.fd, named)) return kernel_mmap(r);
  // A shared mapping would write the guest's changes into the file, or lose them without a word.
  if (!is_private(r)) {
    return fail_with(EINVAL, "mapped shared:", memory, "give QEMU's memory backend share=off");
  }
  return mode == Mode::kUffd ? map_uffd(r, memory) : map_populated(r, memory);
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void* mmap(void* address, size_t length, int protection,
                                                  int flags, int fd, off_t offset) noexcept {
  return map({address, length, protection, flags, fd, offset});
}

__attribute__((visibility("default"))) void* mmap64(void* address, size_t length, int protection,
                                                    int flags, int fd, off64_t offset) noexcept {
  return map({address, length, protection, flags, fd, offset});
}

}  // extern "C"
