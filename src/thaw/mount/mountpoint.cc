// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/mountpoint.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>

#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr const char* kFuseDevice = "/dev/fuse";

UnmountOutcome unmount(const std::string& path, dev_t device, int flags) {
  const Result<dev_t> shown = mounted_device(path);
  if (!shown || *shown != device) return UnmountOutcome::kNotOurs;
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | flags) == 0) return UnmountOutcome::kDone;
  switch (errno) {
    case EBUSY:
      return UnmountOutcome::kBusy;
    case EPERM:
      return UnmountOutcome::kForbidden;
    default:
      return UnmountOutcome::kNotOurs;
  }
}

}  // namespace

Result<std::string> check_mountpoint(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE, &status) != 0) {
    switch (errno) {
      case ENOENT:
        return fail(ErrorCode::kInvalid,
                    "mountpoint " + path + " does not exist; make the directory first");
      case ENOTDIR:
        return fail(ErrorCode::kInvalid, "mountpoint " + path + ": a part of it is no directory");
      case ENOTCONN:
        return fail(ErrorCode::kInvalid, "mountpoint " + path +
                                             " holds a mount whose server has died; take it off "
                                             "with umount or fusermount3 -u");
      default:
        return fail_errno("cannot use the mountpoint " + path, errno);
    }
  }
  if (!S_ISDIR(status.stx_mode)) {
    return fail(ErrorCode::kInvalid, "mountpoint " + path + " is not a directory");
  }
  if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
    return fail(ErrorCode::kInvalid, "mountpoint " + path +
                                         " has something mounted on it already, perhaps by a "
                                         "server that has died; take it off with umount or "
                                         "fusermount3 -u, or choose another directory");
  }
  std::error_code error;
  const bool empty = std::filesystem::is_empty(path, error);
  if (error) return fail_errno("cannot list the mountpoint " + path, error.value());
  if (!empty) {
    return fail(ErrorCode::kInvalid,
                "mountpoint " + path + " is not empty; choose an empty directory");
  }
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) {
    return fail_errno("cannot resolve the mountpoint " + path, errno);
  }
  return std::string(resolved);
}

Result<void> check_fuse_device() {
  const Result<Fd> device = open_file(kFuseDevice, O_RDWR);
  if (device) return {};
  const std::string why = device.error().message;
  switch (device.error().code) {
    case ErrorCode::kDenied:
      return fail(ErrorCode::kDenied,
                  why +
                      "; run as root or as a user that may open it, and in a container add the "
                      "device and the capability SYS_ADMIN");
    case ErrorCode::kNotFound:
    default:  // ENODEV and ENXIO: the node is there, the module is not
      return fail(ErrorCode::kUnsupported,
                  why +
                      "; load the kernel's fuse module (modprobe fuse), and in a container add "
                      "the device");
  }
}

Result<dev_t> mounted_device(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE,
              &status) != 0) {
    return fail_errno("cannot look at " + path, errno);
  }
  return makedev(status.stx_dev_major, status.stx_dev_minor);
}

Result<void> set_readahead_kb(dev_t device, uint32_t readahead_kb) {
  const std::string path = "/sys/class/bdi/" + std::to_string(major(device)) + ":" +
                           std::to_string(minor(device)) + "/read_ahead_kb";
  ASSIGN_OR_RETURN(const Fd fd, open_file(path, O_WRONLY));
  return write_all(fd.get(), as_bytes(std::to_string(readahead_kb)), path);
}

UnmountOutcome try_unmount(const std::string& path, dev_t device) {
  return unmount(path, device, 0);
}

UnmountOutcome detach(const std::string& path, dev_t device) {
  return unmount(path, device, MNT_DETACH);
}

}  // namespace thaw
