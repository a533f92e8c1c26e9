// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/study_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "thaw/base/check.h"
#include "thaw/base/stage_clock.h"
#include "thaw/crypto/secret.h"
#include "thaw/sys/file_io.h"

namespace thaw {

Result<StudyFile> StudyFile::open_plain(const std::string& path) {
  StudyFile plain(path, {});
  ASSIGN_OR_RETURN(plain.file_, open_file(path, O_RDONLY | O_DIRECT));
  ASSIGN_OR_RETURN(plain.bytes_, file_size(plain.file_.get(), path));
  return plain;
}

Result<StudyFile> StudyFile::make(const std::string& path, ByteSpan plaintext,
                                  const StudyFileOptions& options) {
  CHECK(plaintext.size() % kPageBytes == 0 && options.chunk_bytes % kPageBytes == 0);
  StudyFile made(path, options);
  made.bytes_ = plaintext.size();
  Bytes stored(plaintext.begin(), plaintext.end());
  if (options.encrypted) {
    const SecretBytes key = SecretBytes::random(kKeyBytes);
    made.cipher_.set_key(key.span());
    made.cipher_.apply(0, stored, stored.data());
  }
  if (options.chunk_bytes > 0) {
    for (uint64_t at = 0; at < stored.size(); at += options.chunk_bytes) {
      const size_t size = std::min<uint64_t>(options.chunk_bytes, stored.size() - at);
      made.digests_.push_back(sha256(ByteSpan(stored).subspan(at, size)));
    }
    made.chunk_ = AlignedBuffer(options.chunk_bytes);
  }
  TRY(replace_file(path, stored, 0600));
  // What was written is in the page cache; direct reads pass it by.
  ASSIGN_OR_RETURN(made.file_, open_file(path, O_RDONLY | O_DIRECT));
  return made;
}

void StudyFile::begin(const std::optional<LatencyShape>& shape, uint64_t seed) {
  kept_.reset();
  cost_ = {};
  link_.reset();
  if (shape) link_.emplace(*shape, seed);
}

Result<void> StudyFile::read(uint64_t page, MutableByteSpan out) {
  const uint64_t begin = page * kPageBytes;
  if (options_.chunk_bytes == 0) {
    TRY(fetch(begin, out));
    decrypt(begin, out);
    return {};
  }
  for (uint64_t at = begin; at < begin + out.size();) {
    const uint64_t chunk = at / options_.chunk_bytes;
    TRY(read_chunk(chunk));
    const uint64_t end = std::min<uint64_t>((chunk + 1) * options_.chunk_bytes, begin + out.size());
    std::memcpy(out.data() + (at - begin), chunk_.data() + at % options_.chunk_bytes, end - at);
    at = end;
  }
  return {};
}

Result<void> StudyFile::read_chunk(uint64_t chunk) {
  if (kept_ == chunk) return {};
  kept_.reset();
  const uint64_t offset = chunk * options_.chunk_bytes;
  const MutableByteSpan bytes =
      chunk_.span().first(std::min<uint64_t>(options_.chunk_bytes, bytes_ - offset));
  TRY(fetch(offset, bytes));
  {
    const StageClock clock(&cost_.verify_ns);
    if (sha256(bytes) != digests_[chunk]) {
      return fail(ErrorCode::kCorrupt, path_ + ": chunk " + std::to_string(chunk) + " is damaged");
    }
  }
  decrypt(offset, bytes);
  kept_ = chunk;
  return {};
}

Result<void> StudyFile::fetch(uint64_t offset, MutableByteSpan out) {
  const StageClock clock(&cost_.fetch_ns);
  ++cost_.requests;
  cost_.bytes += out.size();
  TRY(read_exact_at(file_.get(), offset, out, path_));
  if (link_) {
    std::this_thread::sleep_until(link_->arrival(std::chrono::steady_clock::now(), out.size()));
  }
  return {};
}

void StudyFile::decrypt(uint64_t offset, MutableByteSpan bytes) {
  if (!options_.encrypted) return;
  const StageClock clock(&cost_.decrypt_ns);
  cipher_.apply(offset, bytes, bytes.data());
}

}  // namespace thaw
