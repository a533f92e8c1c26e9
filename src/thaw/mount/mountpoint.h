// SPDX-License-Identifier: Apache-2.0
//
// Mountpoint: the directory that a file system is mounted on, seen from outside of FUSE: what has
// to hold before, how far the kernel reads ahead, how it is taken off.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// The absolute path of a directory that may be mounted on. kInvalid if it is missing, no
/// directory, not empty, a mount point already, or holds the remains of a server that was killed.
Result<std::string> check_mountpoint(const std::string& path);

/// kUnsupported or kDenied, with what to do, unless this process may open /dev/fuse.
Result<void> check_fuse_device();

/// The device number of the file system that `path` shows. Asks no server, so it cannot hang.
Result<dev_t> mounted_device(const std::string& path);

/// How far the kernel reads ahead on that file system (/sys/class/bdi); needs root. FUSE itself
/// caps what a server may ask for at the system's default, 128 KiB.
Result<void> set_readahead_kb(dev_t device, uint32_t readahead_kb);

enum class UnmountOutcome {
  kDone,
  kBusy,       // files or directories of it are in use
  kNotOurs,    // something else is there, or nothing
  kForbidden,  // needs root: fusermount3 has to do it
};
/// Unmounts `path` if `device` is what it shows. The server has to serve meanwhile.
UnmountOutcome try_unmount(const std::string& path, dev_t device);
/// Takes the mount off the tree if `device` is what `path` shows; who has it open keeps what is
/// open.
UnmountOutcome detach(const std::string& path, dev_t device);

}  // namespace thaw
