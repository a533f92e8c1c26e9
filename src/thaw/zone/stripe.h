// SPDX-License-Identifier: Apache-2.0
//
// A stripe: one of the k + m pieces that a chunk is kept as in the zone, and the header it carries,
// so that what a node hands back under a key is known to be that stripe and whole. The bytes are
// specified in FORMAT.md beside this file.
//
// The checksums find accidents: bit rot, truncation, a node that mixes its values up. Forgery is
// found by the chunk's name, over the chunk that was assembled.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/chunk/chunk_id.h"

namespace thaw {

inline constexpr unsigned kDataStripesMax = 16;
inline constexpr unsigned kParityStripesMax = 4;
inline constexpr unsigned kStripesMax = kDataStripesMax + kParityStripesMax;
/// A stripe's size is a multiple of this, but for the last data stripe, which may be shorter.
inline constexpr uint32_t kStripeAlignment = 16;
/// By how much at most the last data stripe is shorter than the others.
inline constexpr uint32_t kStripeTailMax = kStripeAlignment * kDataStripesMax;
inline constexpr size_t kStripeHeaderBytes = 72;

/// How chunks are cut: into `data` stripes and `parity` more. The same for all that a fleet serves.
struct StripeShape {
  uint8_t data = 4;
  uint8_t parity = 1;

  unsigned total() const { return unsigned{data} + parity; }
  friend bool operator==(const StripeShape&, const StripeShape&) = default;
};

/// kInvalid outside 1..kDataStripesMax and 0..kParityStripesMax.
Result<void> validate_stripe_shape(unsigned data, unsigned parity);

/// The size of every stripe of a chunk of `pages` but the last data one's.
uint32_t stripe_bytes(uint32_t pages, StripeShape shape);

struct StripeId {
  ChunkId chunk;
  uint32_t pages = 0;  // of the chunk: 1 to kChunkPagesMax
  StripeShape shape;
  uint8_t index = 0;  // data stripes first, then parity

  bool is_data() const { return index < shape.data; }
  /// Where a data stripe begins in the chunk.
  uint64_t offset() const { return uint64_t{index} * stripe_bytes(pages, shape); }
  /// Never 0.
  uint32_t payload_bytes() const;
  /// The key it stands under: "thaw1:<chunk id>:<data>+<parity>:<index>", at most 80 bytes.
  std::string key() const;
  friend bool operator==(const StripeId&, const StripeId&) = default;
};

using StripeHeader = std::array<std::byte, kStripeHeaderBytes>;

/// The header of a stripe with this payload (payload_bytes() of them). One XXH3-64 over it: 128 KiB
/// take about 2 us.
StripeHeader encode_stripe_header(const StripeId& id, ByteSpan payload);

/// Whether these bytes, from a node, are the stripe `wanted` and whole: kCorrupt says what is
/// wrong. `header` has kStripeHeaderBytes. Costs what encode_stripe_header() does.
Result<void> check_stripe(const StripeId& wanted, ByteSpan header, ByteSpan payload);

/// The header alone, for tools and for tests: what it claims to be. kCorrupt if it is damaged or
/// says what cannot be, kUnsupported for another version.
struct StripeClaim {
  StripeId id;
  uint32_t payload_bytes = 0;
  uint64_t payload_checksum = 0;
};
Result<StripeClaim> parse_stripe_header(ByteSpan header);

}  // namespace thaw
