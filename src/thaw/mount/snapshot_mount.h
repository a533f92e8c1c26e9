// SPDX-License-Identifier: Apache-2.0
//
// SnapshotMount: the snapshots of one tenant as a FUSE file system:
//   <mountpoint>/<name>/memory  <name>/vmstate  <name>/disks/<disk>
//
// What holds:
// - The content under an inode never changes (node_table.h), so the kernel's page cache is kept
// over
//   opens and shared by all who map a file. It is the one place outside a guest where plaintext
//   lives.
// - A file opens for reading, and for reading and writing, because QEMU opens its memory file so
// and maps
//   it private. Whatever would change it is refused with EROFS.
// - A read that fails is EIO and one line in the log; a reply never holds anything but the content.
//
// Shared writable mappings. The kernel lets the mounting user map a file shared and writable and
// asks nobody, and a store through such a mapping changes the page in the page cache before the
// server hears of it. The kernel then hands the page to the server (at msync, munmap or after
// vm.dirty_expire_centisecs); it is refused, a line in the log says so, and the file's cached pages
// are thrown away, so that the next read has the content again. In between, other readers of that
// file may see the store. Where the processes of a tenant do not trust each other or an operator
// may forget share=off, set `isolate_writers`: a file opened for writing is then never cached
// through that descriptor and cannot be mapped shared at all (ENODEV); the price is that each
// mapping of it first drops the file's page cache.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/store/catalog.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct MountOptions {
  /// Requests served at once. One that waits for a chunk holds its thread, so more than the cores.
  unsigned threads = 8;
  /// Every user may read, not only the one who mounts; needs user_allow_other in /etc/fuse.conf
  /// unless root mounts.
  bool allow_other = false;
  /// See above.
  bool isolate_writers = false;
  /// How long the kernel may believe where a name points.
  double name_timeout_s = 1;
  /// How far the kernel reads ahead, and around a fault in a mapping; 0 leaves it alone. Best
  /// effort: needs root. More is not better: replaying a function's faults (640 scattered runs of 5
  /// pages) takes two to three times as long with 1 MiB as with 64 or 128 KiB, since what is read
  /// around has to be decrypted too, and sequential reads gain nothing, since large ones arrive in
  /// requests of 1 MiB.
  uint32_t readahead_kb = 128;
  /// Told of every read of a memory image, before it is served and on the thread that serves it. A
  /// mount that has it is asked page by page: the kernel reads nothing ahead or around, whatever
  /// readahead_kb says. It hears of a page once, when the page cache does not have it.
  std::function<void(const ManifestId& manifest, PageRun pages)> on_memory_read;

  Result<void> validate() const;
};

/// Counts since the mount was made.
struct MountCounters {
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> read_bytes{0};
  std::atomic<uint64_t> read_errors{0};
  std::atomic<uint64_t> refused_stores{0};  // pages that came back from shared writable mappings
};

/// A process that serves a mount must not touch mappings of its files while memory is short: a
/// fault that is tried again holds the lock of the address space that the serving threads need.
///
/// One thread creates, runs and destroys it; stop(), counters() and inodes() may be called from
/// any.
class SnapshotMount {
 public:
  /// Mounts. Borrows all but the options. Shows the tenant of `keys`. kInvalid for a bad mountpoint
  /// or option, kUnsupported and kDenied where FUSE is missing or not permitted. What is looked up
  /// before run() waits for it.
  static Result<std::unique_ptr<SnapshotMount>> create(const MountOptions& options,
                                                       const Catalog& catalog,
                                                       const KeyProvider& keys, ChunkSource& source,
                                                       const std::string& mountpoint);
  /// Unmounts if it is still mounted.
  ~SnapshotMount();
  SnapshotMount(const SnapshotMount&) = delete;
  SnapshotMount& operator=(const SnapshotMount&) = delete;

  /// Serves until stop() is called or somebody unmounts; once. Unmounted when it returns, whatever
  /// it returns. A mount that is in use is detached: it leaves the tree, mapped and cached pages
  /// stay readable for who holds them, anything else fails there.
  Result<void> run();

  /// Makes run() return, now or when it is called. Async-signal-safe; repeating it changes nothing.
  void stop();

  const MountCounters& counters() const;
  /// Inodes that the kernel holds, the root included.
  size_t inodes() const;

 private:
  class Session;
  explicit SnapshotMount(std::unique_ptr<Session> session);
  std::unique_ptr<Session> session_;
};

}  // namespace thaw
