// SPDX-License-Identifier: Apache-2.0
//
// StudyFile: a memory image as the study keeps it: plain, encrypted, in chunks, or in encrypted
// chunks. Its unit is a page, or the chunk: a read takes whole units, one after the other, each
// read, verified and decrypted whole; of chunks the last one is kept. No part of it comes from the
// page cache.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/latency_shape.h"
#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/digest.h"
#include "thaw/sys/fd.h"

namespace thaw {

struct StudyFileOptions {
  bool encrypted = false;
  uint64_t chunk_bytes = 0;  // 0: not in chunks
};

/// What reads have cost.
struct StudyCost {
  uint64_t requests = 0;  // of units in chunks, else reads
  uint64_t bytes = 0;
  uint64_t fetch_ns = 0;
  uint64_t verify_ns = 0;  // chunks are named by their content
  uint64_t decrypt_ns = 0;

  StudyCost& operator+=(const StudyCost& other) {
    requests += other.requests;
    bytes += other.bytes;
    fetch_ns += other.fetch_ns;
    verify_ns += other.verify_ns;
    decrypt_ns += other.decrypt_ns;
    return *this;
  }
};

/// Belongs to one thread.
class StudyFile {
 public:
  /// The file at `path`, whole pages, as it is: plain and not in chunks.
  static Result<StudyFile> open_plain(const std::string& path);
  /// Writes `plaintext`, whole pages, to `path` in this form, and opens it. The key is made here
  /// and kept nowhere.
  static Result<StudyFile> make(const std::string& path, ByteSpan plaintext,
                                const StudyFileOptions& options);

  /// From now on each request takes besides as long as one to such a place; nothing is kept of what
  /// was read before.
  void begin(const std::optional<LatencyShape>& shape, uint64_t seed);

  /// Pages [page, page + out.size() / kPageBytes); `out` is aligned for direct I/O.
  Result<void> read(uint64_t page, MutableByteSpan out);

  const StudyCost& cost() const { return cost_; }
  uint64_t bytes() const { return bytes_; }

 private:
  StudyFile(std::string path, const StudyFileOptions& options)
      : path_(std::move(path)), options_(options) {}

  Result<void> read_chunk(uint64_t chunk);
  Result<void> fetch(uint64_t offset, MutableByteSpan out);
  void decrypt(uint64_t offset, MutableByteSpan bytes);

  std::string path_;
  StudyFileOptions options_;
  Fd file_;
  uint64_t bytes_ = 0;
  CtrCipher cipher_;
  std::vector<Digest> digests_;  // of chunks as they are in the file
  AlignedBuffer chunk_{0};
  std::optional<uint64_t> kept_;  // the chunk that chunk_ holds
  std::optional<ShapedLink> link_;
  StudyCost cost_;
};

}  // namespace thaw
