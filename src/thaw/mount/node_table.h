// SPDX-License-Identifier: Apache-2.0
//
// NodeTable: the inodes that the kernel knows. A node is bound to what it shows (a manifest id and
// an image), never to a name alone, so the kernel's page cache, which belongs to an inode, cannot
// mix two snapshots: a replaced name is another node. Two names of one snapshot share the nodes of
// its files, and so share their page cache.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "thaw/base/guarded.h"
#include "thaw/mount/mounted_snapshot.h"

namespace thaw {

enum class NodeKind : uint8_t {
  kRoot,      // <mountpoint>
  kSnapshot,  // <mountpoint>/<name>
  kDisks,     // <mountpoint>/<name>/disks
  kFile,      // an image
};

/// Immutable.
struct Node {
  NodeKind kind = NodeKind::kRoot;
  /// The snapshot's name; of a file the one it was first looked up under, for messages.
  std::string name;
  /// Shared with the other nodes of the snapshot: the last to be forgotten frees it. Null for the
  /// root.
  std::shared_ptr<const MountedSnapshot> snapshot;
  /// Of a file; owned by `snapshot`.
  const OpenSnapshot* opened = nullptr;
  size_t image = 0;

  /// stat's st_ino: the same for the same content whenever it is looked up, in every mount.
  uint64_t inode_number() const;
  /// "web/memory", "web/disks/root", for messages.
  std::string describe() const;
};

/// Callable from many threads.
class NodeTable {
 public:
  /// The node that FUSE calls FUSE_ROOT_ID.
  static constexpr uint64_t kRootId = 1;

  NodeTable();

  /// nullptr if the kernel was never told of it or has forgotten it. Shared because a request may
  /// still read from a node that is being forgotten.
  std::shared_ptr<const Node> find(uint64_t id) const;

  /// The id of the node that shows what `node` shows, made if there is none, with one more lookup.
  uint64_t look_up(Node node);

  /// The kernel gives back `lookups` of them; the node goes with the last. The root stays.
  void forget(uint64_t id, uint64_t lookups);

  /// The root included.
  size_t size() const;

 private:
  struct Key {
    NodeKind kind;
    std::string name;  // empty for files
    uint64_t root_id;
    ManifestId manifest;
    size_t image;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    std::shared_ptr<const Node> node;
    uint64_t lookups = 0;
  };
  struct State {
    // Ids are never used twice, so a late request for a forgotten node finds nothing.
    uint64_t next_id = kRootId + 1;
    std::unordered_map<uint64_t, Entry> by_id;
    std::map<Key, uint64_t> by_key;
  };

  static Key key_of(const Node& node);

  Guarded<State> state_;
};

}  // namespace thaw
