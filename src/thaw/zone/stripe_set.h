// SPDX-License-Identifier: Apache-2.0
//
// StripeSet: the stripes of one chunk in memory. Data stripes are received where they belong in the
// chunk, so that a chunk whose data stripes all came needs no copy.
#pragma once

#include <array>
#include <memory>

#include "thaw/base/aligned_buffer.h"
#include "thaw/base/result.h"
#include "thaw/zone/reed_solomon.h"
#include "thaw/zone/stripe.h"

namespace thaw {

/// Written by one loop, then handed over to one worker.
class StripeSet {
 public:
  /// Room for all stripes of a chunk, none of them there yet. Keeps `code`, which has this shape.
  StripeSet(const ChunkId& chunk, uint32_t pages, StripeShape shape,
            std::shared_ptr<const ReedSolomon> code);

  const ChunkId& chunk() const { return chunk_; }
  StripeShape shape() const { return shape_; }
  StripeId id(unsigned index) const {
    return {chunk_, pages_, shape_, static_cast<uint8_t>(index)};
  }
  MutableByteSpan room(unsigned index);
  ByteSpan stripe(unsigned index) const;

  void mark_present(unsigned index) { present_[index] = true; }
  void mark_absent(unsigned index) { present_[index] = false; }
  bool is_present(unsigned index) const { return present_[index]; }
  unsigned present_count() const;
  /// Whether a data stripe is missing, so that assembling takes arithmetic.
  bool is_degraded() const;

  /// The chunk's ciphertext, reconstructed where data stripes are missing (7 us of 512 KiB as 4 +
  /// 1), which leaves the set empty. kUnavailable with fewer than `data` stripes. Not verified: the
  /// caller checks the chunk's name.
  Result<AlignedBuffer> assemble() &&;

 private:
  const ChunkId chunk_;
  const uint32_t pages_;
  const StripeShape shape_;
  const std::shared_ptr<const ReedSolomon> code_;
  AlignedBuffer data_;
  AlignedBuffer parity_;
  std::array<bool, kStripesMax> present_{};
};

}  // namespace thaw
