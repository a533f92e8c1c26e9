// SPDX-License-Identifier: Apache-2.0
//
// BlockFile: a file that is read and written in whole blocks at given places; the point where a
// test puts a disk that fails. Neither mapped nor seeked, so that a file which shrinks or is
// removed under us is an error code and nothing worse.
#pragma once

#include <memory>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Thread-safe. Offsets, addresses and sizes are multiples of kPageBytes, as direct I/O wants them.
class BlockFile {
 public:
  virtual ~BlockFile() = default;

  /// Fills `first`, then `second` (may be empty), from consecutive bytes at `offset`. kCorrupt if
  /// the file ends before that.
  virtual Result<void> read(uint64_t offset, MutableByteSpan first, MutableByteSpan second) = 0;
  /// Writes `first`, then `second` (may be empty). After an error any part of them may be written.
  virtual Result<void> write(uint64_t offset, ByteSpan first, ByteSpan second) = 0;
  /// For what reads past this interface (io_uring); -1 if that is not allowed.
  virtual int descriptor() const = 0;
};

/// A descriptor's file. One system call each, unless the kernel moves only a part.
class FdBlockFile final : public BlockFile {
 public:
  /// `path` is for the messages.
  FdBlockFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<void> read(uint64_t offset, MutableByteSpan first, MutableByteSpan second) override;
  Result<void> write(uint64_t offset, ByteSpan first, ByteSpan second) override;
  int descriptor() const override { return fd_.get(); }

 private:
  const Fd fd_;
  const std::string path_;
};

}  // namespace thaw
