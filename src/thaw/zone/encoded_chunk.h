// SPDX-License-Identifier: Apache-2.0
//
// EncodedChunk: a chunk as stripes, ready to be stored.
#pragma once

#include <memory>
#include <vector>

#include "thaw/base/aligned_buffer.h"
#include "thaw/zone/reed_solomon.h"
#include "thaw/zone/stripe.h"

namespace thaw {

/// Immutable.
class EncodedChunk {
 public:
  /// Borrows the ciphertext (whole pages), which `keep_alive` holds. Makes parity and checksums:
  /// about 20 us for 512 KiB as 4 + 1.
  EncodedChunk(const ChunkId& chunk, ByteSpan ciphertext, std::shared_ptr<const void> keep_alive,
               StripeShape shape, const ReedSolomon& code);

  StripeId id(unsigned index) const {
    return {chunk_, pages_, shape_, static_cast<uint8_t>(index)};
  }
  ByteSpan header(unsigned index) const { return headers_[index]; }
  ByteSpan payload(unsigned index) const;
  /// Of all stripes with their headers.
  uint64_t total_bytes() const;

 private:
  const ChunkId chunk_;
  const uint32_t pages_;
  const StripeShape shape_;
  const ByteSpan ciphertext_;
  const std::shared_ptr<const void> keep_alive_;
  AlignedBuffer parity_;
  std::vector<StripeHeader> headers_;
};

}  // namespace thaw
