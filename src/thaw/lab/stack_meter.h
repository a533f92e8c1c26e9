// SPDX-License-Identifier: Apache-2.0
//
// StackMeter: what tiers have brought and hashed since it was made.
#pragma once

#include "thaw/lab/measurement.h"
#include "thaw/lab/metered_source.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// Belongs to one thread but for source(). Borrows the stack.
class StackMeter {
 public:
  explicit StackMeter(TierStack& stack)
      : stack_(stack), source_(stack.top()), before_(counts_of(stack)) {}

  /// The stack's top, to be asked instead of it.
  ChunkSource& source() { return source_; }
  void add_costs(Measurement& measurement) const;

 private:
  struct Counts {
    uint64_t local_bytes = 0;
    uint64_t zone_bytes = 0;
    uint64_t origin_bytes = 0;
    uint64_t verify_ns = 0;
  };
  static Counts counts_of(const TierStack& stack);

  TierStack& stack_;
  MeteredSource source_;
  const Counts before_;
};

}  // namespace thaw
