// SPDX-License-Identifier: Apache-2.0
//
// CacheFile: the one file of a disk cache: found or made, locked against other processes, brought
// to its capacity. What its slots hold is not looked at here.
#pragma once

#include <memory>
#include <string>

#include "thaw/cache/block_file.h"
#include "thaw/cache/cache_format.h"

namespace thaw {

struct CacheFileOptions {
  std::string path;
  uint64_t bytes_max = 0;
  uint32_t slot_bytes = 0;
  bool direct_io = true;
  /// Empties a cache file of another slot size or format version instead of refusing it. A file
  /// that is no cache is never touched.
  bool recreate = false;
};

/// Thread-safe once open. The destructor unlocks.
class CacheFile {
 public:
  /// What became of the file on the way.
  enum class Outcome { kOpened, kMade, kResized, kEmptied };

  /// Opens or makes the file and allocates all its blocks, so that no later write runs out of
  /// space. Another capacity makes it longer or shorter in place: what its remaining slots hold
  /// stays. A file that was cut is filled up again; a damaged superblock empties the file (it is a
  /// cache), with a warning.
  ///
  /// kNotFound: the directory is missing. kDenied: not writable. kInvalid: the file is no cache or
  /// has another slot size, or the options are wrong. kUnsupported: of another version.
  /// kUnavailable: another process has it open. kExhausted: the disk is too small. Each message
  /// says what to do.
  static Result<std::unique_ptr<CacheFile>> open(const CacheFileOptions& options);
  ~CacheFile();
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  BlockFile& blocks() { return blocks_; }
  const CacheGeometry& geometry() const { return superblock_.geometry; }
  const CacheFileId& file_id() const { return superblock_.file_id; }
  /// False if it was not wanted or the file system has none (tmpfs).
  bool direct_io() const { return direct_io_; }
  Outcome outcome() const { return outcome_; }
  /// True if the path leads to the open file still: it was neither removed nor replaced.
  bool in_place() const;

 private:
  CacheFile(Fd fd, const CacheFileOptions& options)
      : blocks_(std::move(fd), options.path), path_(options.path) {}

  int fd() const { return blocks_.descriptor(); }
  Result<void> adopt(const CacheFileOptions& options, const CacheGeometry& wanted);
  Result<void> make(const CacheGeometry& wanted);
  Result<void> resize(const CacheGeometry& wanted, uint64_t file_bytes);
  Result<void> allocate(uint64_t file_bytes);
  Result<void> write_superblock(bool ready);
  void use_direct_io();

  FdBlockFile blocks_;
  const std::string path_;
  Superblock superblock_;
  Outcome outcome_ = Outcome::kOpened;
  bool direct_io_ = false;
};

/// A cache file as it lies there, whoever has it open.
struct CacheFileGlance {
  Superblock superblock;
  uint32_t owner_pid = 0;  // 0: nobody, or it is not known
  bool locked = false;
  Fd fd;  // read-only
};
/// Looks and changes nothing; holds the lock for a moment to see whether it is free.
Result<CacheFileGlance> glance_at_cache_file(const std::string& path);

}  // namespace thaw
