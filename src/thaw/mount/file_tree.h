// SPDX-License-Identifier: Apache-2.0
//
// FileTree: what stands where in the mount, without FUSE:
//   <name>/memory  <name>/vmstate  <name>/disks/<disk>
// Names are asked of the catalog at each lookup, so a new snapshot appears and a removed one goes
// without a remount. Callable from many threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/mount/node_table.h"

namespace thaw {

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  uint64_t inode_number = 0;
};

class FileTree {
 public:
  /// readdir's "unknown": listing the snapshots does not look at each of them.
  static constexpr uint64_t kUnknownInode = 0xffffffff;

  explicit FileTree(const SnapshotOrigin& origin) : origin_(origin), snapshots_(origin) {}

  /// What `directory` has under `name`. kNotFound if nothing; other errors say why the catalog or
  /// the manifest cannot be read.
  Result<Node> child(const Node& directory, std::string_view name);

  /// What `directory` has, without "." and "..".
  Result<std::vector<DirectoryEntry>> list(const Node& directory);

 private:
  const SnapshotOrigin origin_;
  SnapshotTable snapshots_;
};

}  // namespace thaw
