// SPDX-License-Identifier: Apache-2.0
//
// What scrubbing finds out about one chunk's stripes: which are what they should be.
#pragma once

#include <optional>
#include <vector>

#include "thaw/crypto/digest.h"
#include "thaw/zone/fan_out.h"
#include "thaw/zone/stripe_set.h"

namespace thaw {

enum class StripeState {
  kOk,
  kMissing,
  kCorrupt,   // damaged, another stripe, or not what the chunk's ciphertext gives
  kNodeDown,  // no answer: nothing is known
};
const char* to_string(StripeState state);

struct ChunkCheck {
  std::vector<StripeState> stripes;  // by index
  bool readable = false;             // the chunk could be assembled and bears its name
  unsigned rewritten = 0;
  unsigned removed = 0;

  unsigned count(StripeState state) const;
};

/// Judges the stripes that all nodes handed over. The truth is the ciphertext given, or else what
/// enough of the stripes agree on, as the chunk's name proves: all of them, or all but any one.
/// Where no choice of them gives the chunk, every one that came counts as corrupt; where fewer came
/// than are needed, they are believed. Leaves the truth, if it is known, in `truth`. Costs a
/// SHA-256 of the chunk for each choice tried, and one encoding.
ChunkCheck judge_stripes(const StripeSet& stripes, const StripeOutcomes& outcomes,
                         const std::shared_ptr<const ReedSolomon>& code, Sha256& hasher,
                         std::optional<ByteSpan> known, AlignedBuffer& truth);

}  // namespace thaw
