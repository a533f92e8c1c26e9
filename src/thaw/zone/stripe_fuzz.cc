// SPDX-License-Identifier: Apache-2.0
//
// A value from a node, taken for a stripe: what the parser accepts encodes back to the same bytes,
// and with one bit changed is accepted no more.
#include <algorithm>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/zone/stripe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  const ByteSpan input = std::as_bytes(std::span(data, size));
  const ByteSpan header = input.first(std::min(size, kStripeHeaderBytes));
  const ByteSpan payload = input.subspan(header.size());
  const Result<StripeClaim> claim = parse_stripe_header(header);
  if (!claim) {
    // Another identity never makes it right.
    CHECK(!check_stripe({{}, 1, {1, 0}, 0}, header, payload));
    return 0;
  }
  CHECK(claim->payload_bytes == claim->id.payload_bytes());
  CHECK(claim->id.key().size() <= 80);
  if (!check_stripe(claim->id, header, payload)) return 0;
  CHECK(std::ranges::equal(encode_stripe_header(claim->id, payload), header));
  StripeHeader changed;
  std::copy(header.begin(), header.end(), changed.begin());
  changed[payload.size() % changed.size()] ^= std::byte{4};
  CHECK(!check_stripe(claim->id, changed, payload));
  StripeId other = claim->id;
  other.index ^= 1;
  CHECK(!check_stripe(other, header, payload));
  return 0;
}
