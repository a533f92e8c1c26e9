// SPDX-License-Identifier: Apache-2.0
//
// SlotTable: which chunk is in which slot, who is at it, and which slot is next to be filled. All
// of a disk cache's bookkeeping and none of its I/O.
//
//   free -> filling -> resident -> dropped -> free
//              |           '----> filling (chosen as the victim of another chunk)
//              '-> free (the write failed)
//
// A slot that somebody is at (pinned) is never filled: a dropped one becomes free with the last
// unpin.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "thaw/cache/replacement_policy.h"
#include "thaw/cache/slot_list.h"
#include "thaw/chunk/chunk_id.h"

namespace thaw {

/// One thread at a time: the owner locks. 48 bytes a slot, 4 to 8 of buckets, and the policy's:
/// about 100 with s3_fifo. Lookups are O(1).
class SlotTable {
 public:
  struct Lease {
    uint32_t slot = 0;
    ChunkId id;
    uint32_t pages = 0;
  };
  struct Fill {
    enum class Status { kBegun, kPresent, kNoVictim };
    Status status = Status::kNoVictim;
    uint32_t slot = 0;     // with kBegun
    bool evicted = false;  // with kBegun: another chunk made room
  };

  /// What a slot holds as found on disk.
  struct Found {
    uint32_t slot = 0;  // no two alike
    ChunkId id;
    uint32_t pages = 0;
    uint64_t sequence = 0;
  };

  /// `found` becomes resident, the lowest sequence as the least recent; of a chunk that was found
  /// twice the highest sequence, the other slot is free. All other slots are free. `hash_seed`
  /// keeps the buckets from being guessed.
  SlotTable(uint32_t slots, PolicyKind policy, uint64_t hash_seed, std::vector<Found> found);

  bool contains(const ChunkId& id) const;
  /// Counts as a hit for the policy; pins the slot until unpin(). nullopt if the chunk is not
  /// resident.
  std::optional<Lease> pin(const ChunkId& id);
  /// The same, not as a hit.
  std::optional<Lease> pin_quietly(const ChunkId& id);
  /// The same by slot.
  std::optional<Lease> pin_slot(uint32_t slot);
  void unpin(uint32_t slot);

  /// Takes a slot for `id` and pins it. kPresent also if another fill of it is under way.
  Fill begin_fill(const ChunkId& id, uint32_t pages);
  /// Ends a fill and its pin: resident if it succeeded, else free, behind all others that are.
  void end_fill(uint32_t slot, bool succeeded);

  /// The chunk of a resident slot, pinned by the caller, is gone from here on. False if it was
  /// dropped before.
  bool drop(uint32_t slot);

  uint32_t resident() const { return policy_->size(); }
  uint64_t resident_pages() const { return resident_pages_; }

 private:
  enum class State : uint8_t { kFree, kFilling, kResident, kDropped };
  struct Slot {
    ChunkId id;
    uint32_t pages = 0;
    uint32_t pins = 0;
    uint32_t next = kNoSlot;  // in the bucket's chain, or of the free slots
    State state = State::kFree;
  };

  static uint64_t policy_key(const ChunkId& id);
  size_t bucket_of(const ChunkId& id) const;
  /// The slot that holds `id`, filling or resident; kNoSlot if none does.
  uint32_t find(const ChunkId& id) const;
  void link(uint32_t slot);
  void unlink(uint32_t slot);
  void push_free(uint32_t slot);
  uint32_t pop_free();

  const uint64_t hash_seed_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> buckets_;
  uint32_t first_free_ = kNoSlot;  // first in, first out: a bad place does not come up every time
  uint32_t last_free_ = kNoSlot;
  uint64_t resident_pages_ = 0;
  std::unique_ptr<ReplacementPolicy> policy_;
};

}  // namespace thaw
