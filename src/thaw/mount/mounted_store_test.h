// SPDX-License-Identifier: Apache-2.0
//
// MountedStore: a store in memory, its tiers and a served mount of it, for the tests of the mount.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <thread>

#include "thaw/base/worker_pool.h"
#include "thaw/mount/mountpoint.h"
#include "thaw/mount/snapshot_mount.h"
#include "thaw/sys/fd.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// Mounts can only be tested by root with /dev/fuse.
#define SKIP_WITHOUT_FUSE()                                                           \
  if (const Result<void> usable = check_fuse_device(); !usable || ::geteuid() != 0) { \
    GTEST_SKIP() << (usable ? "not root" : usable.error().message);                   \
  }

class MountedStore {
 public:
  /// `memory_bytes_max` 0 keeps no chunk, so that what happens to the store is seen.
  explicit MountedStore(const MountOptions& options = quick(), uint64_t memory_bytes_max = 64 << 20)
      : workers_(2, 1000),
        tiers_(*TierStack::create(store, workers_, {.memory = {.bytes_max = memory_bytes_max}})) {
    mount = std::move(*SnapshotMount::create(options, catalog, keys, tiers_->top(), path()));
    server_ = std::thread([this] { EXPECT_TRUE(mount->run()); });
  }
  ~MountedStore() { stop(); }

  void stop() {
    mount->stop();
    if (server_.joinable()) server_.join();
  }
  /// For a server that ends by itself.
  void join() { server_.join(); }

  /// Names are asked for anew each time.
  static MountOptions quick() {
    MountOptions options;
    options.name_timeout_s = 0;
    return options;
  }

  const std::string& path() const { return directory_.path(); }
  std::string file(const std::string& name) const { return directory_.file(name); }

  MemoryStore store;
  Catalog catalog{store};
  FixedKeys keys{SnapshotFixtureOptions{}.tenant};
  std::unique_ptr<SnapshotMount> mount;

 private:
  TempDir directory_;
  WorkerPool workers_;
  std::unique_ptr<TierStack> tiers_;
  std::thread server_;
};

/// An open file, and what a test does with one.
class TestFile {
 public:
  explicit TestFile(const std::string& path, int flags = O_RDONLY)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {
    EXPECT_TRUE(static_cast<bool>(fd_)) << path << ": " << ::strerror(errno);
  }
  int fd() const { return fd_.get(); }

  struct stat status() const {
    struct stat status{};
    EXPECT_EQ(::fstat(fd(), &status), 0);
    return status;
  }
  /// Shorter than `count` at the end of the file or on an error, which errno tells.
  Bytes read(uint64_t offset, size_t count) const {
    Bytes bytes(count);
    errno = 0;
    const ssize_t got = ::pread(fd(), bytes.data(), count, static_cast<off_t>(offset));
    bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return bytes;
  }
  Bytes read_all() const {
    const size_t size = static_cast<size_t>(status().st_size);
    Bytes bytes;
    while (bytes.size() < size) {
      const Bytes part = read(bytes.size(), 300'000);
      if (part.empty()) break;
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
  }
  void drop_cache() const { EXPECT_EQ(::posix_fadvise(fd(), 0, 0, POSIX_FADV_DONTNEED), 0); }

 private:
  Fd fd_;
};

/// A mapping of a whole file; bytes() is empty if it was refused, errno tells why.
///
/// MAP_LOCKED reads all of the file and holds it in the page cache while the mapping lives. Without
/// it a kernel may reclaim pages that nobody uses, however much memory is free (DAMON does).
class TestMapping {
 public:
  TestMapping(const TestFile& file, int protection, int flags) {
    const size_t size = static_cast<size_t>(file.status().st_size);
    void* memory = ::mmap(nullptr, size, protection, flags, file.fd(), 0);
    if (memory != MAP_FAILED) bytes_ = {static_cast<std::byte*>(memory), size};
  }
  ~TestMapping() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }
  TestMapping(const TestMapping&) = delete;
  TestMapping& operator=(const TestMapping&) = delete;
  MutableByteSpan bytes() const { return bytes_; }

 private:
  MutableByteSpan bytes_;
};

inline bool same(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

}  // namespace thaw
