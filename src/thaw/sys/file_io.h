// SPDX-License-Identifier: Apache-2.0
//
// Whole-buffer file I/O with errors that name the file. Interrupted calls are repeated. Every
// function may be called from any thread on distinct descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// open(2) with O_CLOEXEC added; `mode` counts when a file is made.
Result<Fd> open_file(const std::string& path, int flags, unsigned mode = 0600);
Result<uint64_t> file_size(int fd, const std::string& path);

/// Reads at `offset` until `out` is full or the file ends; the count read. `path` is for the
/// message.
Result<size_t> read_some_at(int fd, uint64_t offset, MutableByteSpan out, const std::string& path);
/// Reads exactly out.size() bytes; a file that ends before is kCorrupt ("ends early").
Result<void> read_exact_at(int fd, uint64_t offset, MutableByteSpan out, const std::string& path);
Result<void> write_all(int fd, ByteSpan data, const std::string& path);
Result<void> write_all_at(int fd, uint64_t offset, ByteSpan data, const std::string& path);

/// The whole file; kExhausted if it is larger than `bytes_max`.
Result<Bytes> read_file(const std::string& path, uint64_t bytes_max);

/// Makes the directory and the missing ones above it.
Result<void> make_directories(const std::string& path, unsigned mode = 0700);
/// fsync of a directory, so that names made or removed in it survive a power cut.
Result<void> sync_directory(const std::string& path);

/// Replaces `path` by `data` as one step: a reader or a crash sees the old bytes or the new ones.
/// Durable on return. `mode` of the new file.
Result<void> replace_file(const std::string& path, ByteSpan data, unsigned mode);

/// A run of bytes that holds data, as SEEK_DATA and SEEK_HOLE tell it.
struct DataExtent {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};
/// The data extents of the file in order; one extent over all of it where the file system does not
/// tell holes. Leaves the file offset undefined.
Result<std::vector<DataExtent>> data_extents(int fd, uint64_t size, const std::string& path);

}  // namespace thaw
