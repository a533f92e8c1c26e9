// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/stripe.h"

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // AVX2 and AVX-512 where the machine has them; same values
#endif

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {
namespace {

constexpr std::string_view kMagic = "thawzone";
constexpr uint16_t kVersion = 1;
constexpr size_t kCheckedHeaderBytes = kStripeHeaderBytes - sizeof(uint64_t);
constexpr size_t kReservedBytes = 3;
static_assert(kMagic.size() + sizeof(uint16_t) + 3 + kReservedBytes + 2 * sizeof(uint32_t) +
                  kDigestBytes + sizeof(uint64_t) ==
              kCheckedHeaderBytes);

// The last data stripe has at least a byte: a page divided by the most stripes is more than what
// the alignment of all the others can take from it.
static_assert(kPageBytes / kDataStripesMax > kStripeAlignment * (kDataStripesMax - 1));

uint64_t checksum(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

tl::unexpected<Error> fail_corrupt(const std::string& why) {
  return fail(ErrorCode::kCorrupt, "not the stripe that was asked for: " + why);
}

}  // namespace

Result<void> validate_stripe_shape(unsigned data, unsigned parity) {
  if (data < 1 || data > kDataStripesMax || parity > kParityStripesMax) {
    return fail(ErrorCode::kInvalid,
                "cannot cut chunks into " + std::to_string(data) + " + " + std::to_string(parity) +
                    " stripes: choose 1 to " + std::to_string(kDataStripesMax) +
                    " data stripes and 0 to " + std::to_string(kParityStripesMax) + " of parity");
  }
  return {};
}

uint32_t stripe_bytes(uint32_t pages, StripeShape shape) {
  DCHECK(pages >= 1 && pages <= kChunkPagesMax && shape.data >= 1);
  const uint64_t bytes = uint64_t{pages} * kPageBytes;
  const uint64_t unit = uint64_t{shape.data} * kStripeAlignment;
  return static_cast<uint32_t>((bytes + unit - 1) / unit * kStripeAlignment);
}

uint32_t StripeId::payload_bytes() const {
  const uint32_t full = stripe_bytes(pages, shape);
  if (!is_data()) return full;
  return static_cast<uint32_t>(
      std::min<uint64_t>(full, uint64_t{pages} * kPageBytes - uint64_t{index} * full));
}

std::string StripeId::key() const {
  return "thaw1:" + chunk.hex() + ":" + std::to_string(shape.data) + "+" +
         std::to_string(shape.parity) + ":" + std::to_string(index);
}

StripeHeader encode_stripe_header(const StripeId& id, ByteSpan payload) {
  CHECK(payload.size() == id.payload_bytes());
  Bytes bytes;
  bytes.reserve(kStripeHeaderBytes);
  ByteWriter writer(bytes);
  writer.put_bytes(as_bytes(kMagic));
  writer.put(kVersion);
  writer.put(id.shape.data);
  writer.put(id.shape.parity);
  writer.put(id.index);
  writer.put_bytes(std::array<std::byte, kReservedBytes>{});
  writer.put(id.pages);
  writer.put(static_cast<uint32_t>(payload.size()));
  writer.put_bytes(id.chunk.digest);
  writer.put(checksum(payload));
  writer.put(checksum(bytes));
  StripeHeader header{};
  CHECK(bytes.size() == header.size());
  std::copy(bytes.begin(), bytes.end(), header.begin());
  return header;
}

Result<StripeClaim> parse_stripe_header(ByteSpan header) {
  if (header.size() != kStripeHeaderBytes) return fail_corrupt("its header is cut off");
  ByteReader reader(header);
  if (as_text(reader.get_bytes(kMagic.size())) != kMagic) {
    return fail_corrupt("it has no stripe header; is another program using the nodes?");
  }
  const auto version = reader.get<uint16_t>();
  if (version != kVersion) {
    return fail(ErrorCode::kUnsupported, "stripe version " + std::to_string(version) +
                                             " is not known; update thaw or empty the zone");
  }
  StripeClaim claim;
  claim.id.shape.data = reader.get<uint8_t>();
  claim.id.shape.parity = reader.get<uint8_t>();
  claim.id.index = reader.get<uint8_t>();
  const ByteSpan reserved = reader.get_bytes(kReservedBytes);
  claim.id.pages = reader.get<uint32_t>();
  claim.payload_bytes = reader.get<uint32_t>();
  const ByteSpan digest = reader.get_bytes(kDigestBytes);
  std::copy(digest.begin(), digest.end(), claim.id.chunk.digest.begin());
  claim.payload_checksum = reader.get<uint64_t>();
  if (reader.get<uint64_t>() != checksum(header.first(kCheckedHeaderBytes))) {
    return fail_corrupt("its header is damaged");
  }
  CHECK(reader.at_end());
  const bool possible = std::all_of(reserved.begin(), reserved.end(),
                                    [](std::byte b) { return b == std::byte{0}; }) &&
                        validate_stripe_shape(claim.id.shape.data, claim.id.shape.parity) &&
                        claim.id.index < claim.id.shape.total() && claim.id.pages >= 1 &&
                        claim.id.pages <= kChunkPagesMax &&
                        claim.payload_bytes == claim.id.payload_bytes();
  if (!possible) return fail_corrupt("its header says what cannot be");
  return claim;
}

Result<void> check_stripe(const StripeId& wanted, ByteSpan header, ByteSpan payload) {
  ASSIGN_OR_RETURN(const StripeClaim claim, parse_stripe_header(header));
  if (!(claim.id == wanted)) {
    return fail_corrupt("it is " + claim.id.key() + " of " + std::to_string(claim.id.pages) +
                        " pages");
  }
  if (payload.size() != claim.payload_bytes) return fail_corrupt("its payload is cut off");
  if (checksum(payload) != claim.payload_checksum) return fail_corrupt("its payload is damaged");
  return {};
}

}  // namespace thaw
