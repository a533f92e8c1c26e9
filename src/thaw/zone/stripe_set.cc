// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/stripe_set.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {

StripeSet::StripeSet(const ChunkId& chunk, uint32_t pages, StripeShape shape,
                     std::shared_ptr<const ReedSolomon> code)
    : chunk_(chunk),
      pages_(pages),
      shape_(shape),
      code_(std::move(code)),
      data_(size_t{pages} * kPageBytes),
      parity_(size_t{stripe_bytes(pages, shape)} * shape.parity) {}

MutableByteSpan StripeSet::room(unsigned index) {
  const StripeId stripe = id(index);
  if (stripe.is_data()) {
    return data_.span().subspan(static_cast<size_t>(stripe.offset()), stripe.payload_bytes());
  }
  return parity_.span().subspan(size_t{index - shape_.data} * stripe.payload_bytes(),
                                stripe.payload_bytes());
}

ByteSpan StripeSet::stripe(unsigned index) const {
  // SAFETY: the result is const again.
  return const_cast<StripeSet*>(this)->room(index);
}

unsigned StripeSet::present_count() const {
  return static_cast<unsigned>(std::count(present_.begin(), present_.end(), true));
}

bool StripeSet::is_degraded() const {
  return std::find(present_.begin(), present_.begin() + shape_.data, false) !=
         present_.begin() + shape_.data;
}

Result<AlignedBuffer> StripeSet::assemble() && {
  std::array<ReedSolomon::Piece, kStripesMax> present;
  std::array<ReedSolomon::Missing, kStripesMax> missing;
  size_t present_count = 0;
  size_t missing_count = 0;
  for (unsigned i = 0; i < shape_.total(); ++i) {
    if (present_[i]) {
      if (present_count < shape_.data) present[present_count++] = {i, stripe(i)};
    } else if (i < shape_.data) {
      missing[missing_count++] = {i, room(i)};
    }
  }
  if (present_count < shape_.data) {
    return fail(ErrorCode::kUnavailable, "chunk " + chunk_.hex() + " has only " +
                                             std::to_string(present_count) + " of " +
                                             std::to_string(shape_.data) + " stripes in the zone");
  }
  code_->reconstruct(std::span(present).first(present_count),
                     std::span(missing).first(missing_count));
  present_.fill(false);
  return std::move(data_);
}

}  // namespace thaw
