// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/encoded_chunk.h"

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {

EncodedChunk::EncodedChunk(const ChunkId& chunk, ByteSpan ciphertext,
                           std::shared_ptr<const void> keep_alive, StripeShape shape,
                           const ReedSolomon& code)
    : chunk_(chunk),
      pages_(static_cast<uint32_t>(ciphertext.size() / kPageBytes)),
      shape_(shape),
      ciphertext_(ciphertext),
      keep_alive_(std::move(keep_alive)),
      parity_(size_t{stripe_bytes(pages_, shape)} * shape.parity) {
  CHECK(ciphertext.size() % kPageBytes == 0 && pages_ >= 1 && pages_ <= kChunkPagesMax);
  const size_t size = stripe_bytes(pages_, shape);
  std::vector<ByteSpan> data;
  std::vector<MutableByteSpan> parity;
  for (unsigned i = 0; i < shape.data; ++i) data.push_back(payload(i));
  for (unsigned i = 0; i < shape.parity; ++i)
    parity.push_back(parity_.span().subspan(i * size, size));
  code.encode(data, parity);
  headers_.reserve(shape.total());
  for (unsigned i = 0; i < shape.total(); ++i) {
    headers_.push_back(encode_stripe_header(id(i), payload(i)));
  }
}

ByteSpan EncodedChunk::payload(unsigned index) const {
  const StripeId stripe = id(index);
  const size_t size = stripe.payload_bytes();
  if (stripe.is_data()) return ciphertext_.subspan(static_cast<size_t>(stripe.offset()), size);
  return parity_.span().subspan((index - shape_.data) * size, size);
}

uint64_t EncodedChunk::total_bytes() const {
  return ciphertext_.size() + parity_.size() + shape_.total() * kStripeHeaderBytes;
}

}  // namespace thaw
