// SPDX-License-Identifier: Apache-2.0
//
// FuseServer: answers the kernel's requests (libfuse's low-level interface). Knows nothing of
// mounting and threads, which are snapshot_mount.cc's.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <ctime>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/crypto/secret.h"
#include "thaw/mount/file_tree.h"
#include "thaw/mount/node_table.h"
#include "thaw/mount/snapshot_mount.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Callable from many threads. Files and directories belong to the user who makes it.
class FuseServer {
 public:
  /// `stained_event` is an eventfd, borrowed, that is notified when take_stained() has something.
  FuseServer(const MountOptions& options, const SnapshotOrigin& origin, int stained_event);

  /// The table of functions that answer; a session made with it has a FuseServer* as its user data.
  static const fuse_lowlevel_ops& operations();

  const MountCounters& counters() const { return counters_; }
  const NodeTable& nodes() const { return nodes_; }

  /// The inodes whose cached pages somebody has written to through a shared mapping, each once: the
  /// caller has the kernel drop their pages. Not done by the thread that finds out, because the
  /// kernel may make it wait for reads that it should be answering.
  std::set<uint64_t> take_stained();

 private:
  struct Operations;
  using Listing = std::vector<DirectoryEntry>;
  // A directory that is open reads as it was when it was opened. Held here and not by the kernel's
  // handle alone, because a connection may end without closing what is open.
  struct Listings {
    uint64_t next = 1;
    std::unordered_map<uint64_t, std::shared_ptr<const Listing>> by_handle;
  };

  struct stat attributes(const Node& node) const;
  /// nullptr if the kernel does not know the file.
  std::shared_ptr<const Node> file_of(uint64_t id) const;
  void tell_of_read(const Node& node, uint64_t offset, size_t count) const;
  std::shared_ptr<const Listing> listing_of(uint64_t handle) const;
  void drop_listing(uint64_t handle);
  SecretBytes take_buffer(size_t bytes);
  void return_buffer(SecretBytes buffer);

  const MountOptions options_;
  const uid_t uid_;
  const gid_t gid_;
  const timespec made_at_;
  const int stained_event_;
  FileTree tree_;
  NodeTable nodes_;
  MountCounters counters_;
  Guarded<Listings> listings_;
  Guarded<std::vector<SecretBytes>> idle_buffers_;  // at most one a thread
  Guarded<std::set<uint64_t>> stained_;             // at most one an inode
};

}  // namespace thaw
