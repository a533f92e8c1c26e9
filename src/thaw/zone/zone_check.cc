// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/zone_check.h"

#include <algorithm>

#include "thaw/chunk/sealed_chunk.h"
#include "thaw/zone/encoded_chunk.h"

namespace thaw {
namespace {

/// No stripe is left out.
constexpr unsigned kNone = kStripesMax;

/// The chunk from the stripes that are present but one; true if it bears its name.
bool assemble_without(const StripeSet& stripes, unsigned left_out,
                      const std::shared_ptr<const ReedSolomon>& code, Sha256& hasher,
                      AlignedBuffer& out) {
  StripeSet chosen(stripes.chunk(), stripes.id(0).pages, stripes.shape(), code);
  for (unsigned i = 0; i < stripes.shape().total(); ++i) {
    if (i == left_out || !stripes.is_present(i)) continue;
    const ByteSpan from = stripes.stripe(i);
    std::copy(from.begin(), from.end(), chosen.room(i).begin());
    chosen.mark_present(i);
  }
  Result<AlignedBuffer> assembled = std::move(chosen).assemble();
  if (!assembled || !verify_chunk(hasher, stripes.chunk(), assembled->span())) return false;
  out = std::move(*assembled);
  return true;
}

bool find_truth(const StripeSet& stripes, const std::shared_ptr<const ReedSolomon>& code,
                Sha256& hasher, AlignedBuffer& out) {
  if (assemble_without(stripes, kNone, code, hasher, out)) return true;
  for (unsigned i = 0; i < stripes.shape().total(); ++i) {
    if (stripes.is_present(i) && assemble_without(stripes, i, code, hasher, out)) return true;
  }
  return false;
}

StripeState state_of(StripeOutcome outcome) {
  switch (outcome) {
    case StripeOutcome::kOk:
      return StripeState::kOk;
    case StripeOutcome::kMiss:
      return StripeState::kMissing;
    case StripeOutcome::kCorrupt:
      return StripeState::kCorrupt;
    default:
      return StripeState::kNodeDown;
  }
}

}  // namespace

const char* to_string(StripeState state) {
  switch (state) {
    case StripeState::kOk:
      return "ok";
    case StripeState::kMissing:
      return "missing";
    case StripeState::kCorrupt:
      return "corrupt";
    case StripeState::kNodeDown:
      return "node down";
  }
  return "?";
}

unsigned ChunkCheck::count(StripeState state) const {
  return static_cast<unsigned>(std::count(stripes.begin(), stripes.end(), state));
}

ChunkCheck judge_stripes(const StripeSet& stripes, const StripeOutcomes& outcomes,
                         const std::shared_ptr<const ReedSolomon>& code, Sha256& hasher,
                         std::optional<ByteSpan> known, AlignedBuffer& truth) {
  ChunkCheck check;
  const unsigned total = stripes.shape().total();
  for (unsigned i = 0; i < total; ++i) check.stripes.push_back(state_of(outcomes[i]));
  check.readable = find_truth(stripes, code, hasher, truth);
  if (!check.readable && known) {
    truth = AlignedBuffer(known->size());
    std::copy(known->begin(), known->end(), truth.span().begin());
  }
  if (!check.readable && !known) {
    if (stripes.present_count() >= stripes.shape().data) {
      std::replace(check.stripes.begin(), check.stripes.end(), StripeState::kOk,
                   StripeState::kCorrupt);
    }
    return check;
  }
  const EncodedChunk expected(stripes.chunk(), truth.span(), nullptr, stripes.shape(), *code);
  for (unsigned i = 0; i < total; ++i) {
    if (check.stripes[i] != StripeState::kOk) continue;
    if (!std::ranges::equal(stripes.stripe(i), expected.payload(i))) {
      check.stripes[i] = StripeState::kCorrupt;
    }
  }
  return check;
}

}  // namespace thaw
