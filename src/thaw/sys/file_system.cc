// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/file_system.h"

#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace thaw {

std::string nearest_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::path place = std::filesystem::absolute(path, error).lexically_normal();
  while (!std::filesystem::exists(place, error) && place != place.root_path()) {
    place = place.parent_path();
  }
  return place.string();
}

std::string file_system_of(const std::string& directory) {
  constexpr long kXfs = 0x58465342;  // linux/magic.h lacks it
  struct statfs status{};
  if (::statfs(directory.c_str(), &status) != 0) return "";
  switch (static_cast<long>(status.f_type)) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case kXfs:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case NFS_SUPER_MAGIC:
      return "nfs";
    default:
      break;
  }
  char text[32];
  std::snprintf(text, sizeof text, "0x%lx", static_cast<unsigned long>(status.f_type));
  return text;
}

Result<uint64_t> free_bytes(const std::string& directory) {
  struct statvfs space{};
  if (::statvfs(directory.c_str(), &space) != 0) {
    return fail_errno("cannot ask for the free space of " + directory, errno);
  }
  return uint64_t{space.f_bavail} * space.f_frsize;
}

}  // namespace thaw
