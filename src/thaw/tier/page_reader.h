// SPDX-License-Identifier: Apache-2.0
//
// PageReader: an image as plain bytes. It resolves pages by the page map, takes chunks from a
// ChunkSource and decrypts just the pages asked for. The mount, export and tests read through it;
// the fault loop uses the same parts without waiting.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/crypto/cipher.h"
#include "thaw/image/manifest.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// The request for chunk number `chunk` of a manifest.
ChunkRequest request_for(const Manifest& manifest, uint32_t chunk, Priority priority);

/// Borrows the manifest and the source. Members may be called from many threads at once.
class PageReader {
 public:
  PageReader(const Manifest& manifest, const Image& image, ChunkSource& source)
      : manifest_(manifest), image_(image), source_(source) {}

  const Image& image() const { return image_; }

  /// Fills `out` with the image's bytes from `offset`; both may be unaligned, the end of `out` must
  /// be inside the image. Waits for chunks; those of the range are fetched at once, not one after
  /// the other. On an error `out` is unspecified and must not be used.
  Result<void> read(uint64_t offset, MutableByteSpan out) const;

 private:
  // A cipher context of its own for each read under way; making one costs more than a page.
  struct CipherLoan {
    explicit CipherLoan(const PageReader& from) : reader(from), cipher(from.take_cipher()) {}
    ~CipherLoan() { reader.return_cipher(std::move(cipher)); }
    const PageReader& reader;
    CtrCipher cipher;
  };

  CtrCipher take_cipher() const;
  void return_cipher(CtrCipher cipher) const;

  struct Run {
    uint64_t page = 0;
    PageLocation location;
    uint64_t end() const { return (page + location.count) * kPageBytes; }
  };

  bool read_hit(uint64_t offset, MutableByteSpan out, CtrCipher& cipher) const;
  void copy_out(const Run& run, ByteSpan ciphertext, uint64_t begin, MutableByteSpan out,
                CtrCipher& cipher) const;
  Result<void> read_step(uint64_t offset, MutableByteSpan out, CtrCipher& cipher) const;

  const Manifest& manifest_;
  const Image& image_;
  ChunkSource& source_;
  mutable Guarded<std::vector<CtrCipher>> idle_ciphers_;
};

}  // namespace thaw
