// SPDX-License-Identifier: Apache-2.0
//
// A served mount for benchmarks.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/mount/mountpoint.h"
#include "thaw/mount/snapshot_mount.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {

/// Whoever uses files of the mount must have ended before it is destroyed.
class BenchMount {
 public:
  /// Empty if this process can mount; otherwise what is missing.
  static std::string unavailable() {
    const Result<void> usable = check_fuse_device();
    if (!usable) return usable.error().message;
    return ::geteuid() == 0 ? "" : "only root can mount here";
  }

  BenchMount(const Catalog& catalog, const KeyProvider& keys, ChunkSource& source)
      : mount_(*SnapshotMount::create({}, catalog, keys, source, directory_.path())),
        server_([this] { CHECK(mount_->run()); }) {}
  ~BenchMount() {
    mount_->stop();
    server_.join();
  }
  BenchMount(const BenchMount&) = delete;
  BenchMount& operator=(const BenchMount&) = delete;

  std::string memory_of(const std::string& snapshot) const {
    return directory_.file(snapshot) + "/memory";
  }

 private:
  const TempDir directory_;
  const std::unique_ptr<SnapshotMount> mount_;
  std::thread server_;
};

}  // namespace thaw
