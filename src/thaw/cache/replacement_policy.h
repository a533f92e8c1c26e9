// SPDX-License-Identifier: Apache-2.0
//
// ReplacementPolicy: which slot of a full cache makes room. Both the memory and the disk cache ask
// one. A policy sees dense slot numbers and 64-bit hashes of keys, never chunks; hashes that
// collide cost hit rate, not correctness.
//
// s3_fifo is the default. Over the traces of policy_trace.h (policy_trace_test.cc holds the
// ranking) it has the fewest misses or nearly so, it costs O(1) where lru_k costs O(log n), and its
// memory is the smaller.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "thaw/base/result.h"

namespace thaw {

enum class PolicyKind {
  kLru,     // least recently used
  kLruK,    // LRU-2 with retained history (lru_k_policy.h)
  kS3Fifo,  // three static FIFO queues (s3_fifo_policy.h)
};

/// "lru", "lru_k", "s3_fifo".
const char* to_string(PolicyKind kind);
/// kInvalid, with the words that are known, for any other text.
Result<PolicyKind> parse_policy(std::string_view text);

/// The most slots a policy takes; the numbers above are free for marks.
inline constexpr uint32_t kPolicySlotsMax = uint32_t{1} << 30;

/// A slot is resident from inserted() until removed() or evict(). One thread at a time: the owner
/// locks.
class ReplacementPolicy {
 public:
  using Pinned = std::function<bool(uint32_t slot)>;

  virtual ~ReplacementPolicy() = default;

  /// `slot`, which is not resident, now holds `key`.
  virtual void inserted(uint32_t slot, uint64_t key) = 0;
  /// The resident `slot` was asked for.
  virtual void hit(uint32_t slot) = 0;
  /// The resident `slot` was dropped for a reason of its owner's. Leaves no history.
  virtual void removed(uint32_t slot) = 0;
  /// Chooses the resident slot that makes room, and ends its residence; what the policy remembers
  /// of its key it keeps. Skips slots for which `pinned` is true; nullopt if nothing else is
  /// resident. Ends after a bounded number of steps whatever `pinned` says, as long as it answers
  /// the same for a slot during the call.
  virtual std::optional<uint32_t> evict(const Pinned& pinned) = 0;

  /// The resident slots.
  virtual uint32_t size() const = 0;
};

/// A policy for the slots [0, capacity_slots), 1 to kPolicySlotsMax. Memory is taken here and does
/// not grow: 8 bytes a slot for lru, about 84 for lru_k, about 46 for s3_fifo.
std::unique_ptr<ReplacementPolicy> make_policy(PolicyKind kind, uint32_t capacity_slots);

}  // namespace thaw
