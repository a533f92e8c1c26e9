// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/slot_install.h"

#include <algorithm>
#include <array>

#include "thaw/base/stage_clock.h"

namespace thaw {
namespace {

// Consecutive slots, decrypted with one call, that go to up to as many places in memory: a call of
// the cipher for each run would cost a hot chunk, whose runs are two or three pages long, a tenth
// of its time.
class Batch {
 public:
  Batch(GuestMemory& memory, SealedPages sealed, Scratch& scratch, Wake wake)
      : memory_(memory), sealed_(sealed), scratch_(scratch), wake_(wake) {}

  uint32_t room() const { return static_cast<uint32_t>(kInstallBatchPages) - pages_; }
  bool continues(uint32_t slot) const { return pages_ == 0 || slot == slot_ + pages_; }

  void add(SlotRun piece) {
    if (pages_ == 0) slot_ = piece.slot;
    pieces_[count_++] = piece;
    pages_ += piece.count;
  }

  PlaceResult flush() {
    if (pages_ == 0) return {};
    {
      const StageClock clock(memory_.decrypt_ns());
      decrypt_pages(scratch_.cipher, sealed_, slot_, pages_, scratch_.plain.data());
    }
    const GatePass pass(memory_.gate());
    for (size_t i = 0; i < count_; ++i) {
      const SlotRun& piece = pieces_[i];
      const PlaceResult result =
          memory_.place({piece.page, piece.count},
                        scratch_.plain.data() + uint64_t{piece.slot - slot_} * kPageBytes, wake_);
      if (result.placed != Placed::kDone) return result;
    }
    pages_ = 0;
    count_ = 0;
    return {};
  }

 private:
  GuestMemory& memory_;
  const SealedPages sealed_;
  Scratch& scratch_;
  const Wake wake_;
  uint32_t slot_ = 0;
  uint32_t pages_ = 0;
  size_t count_ = 0;
  std::array<SlotRun, kInstallBatchPages> pieces_;
};

}  // namespace

PlaceResult install_slots(GuestMemory& memory, SealedPages sealed, std::span<const SlotRun> runs,
                          Scratch& scratch, Wake wake) {
  Batch batch(memory, sealed, scratch, wake);
  for (const SlotRun& run : runs) {
    // Pages that are present need no decryption either, so absent stretches are found first. What
    // changes in between is seen again inside the gate.
    for (uint32_t at = 0; at < run.count;) {
      if (memory.is_present(uint64_t{run.page} + at)) {
        ++at;
        continue;
      }
      if (batch.room() == 0 || !batch.continues(run.slot + at)) {
        const PlaceResult result = batch.flush();
        if (result.placed != Placed::kDone) return result;
      }
      const uint32_t limit = std::min(run.count, at + batch.room());
      uint32_t end = at + 1;
      while (end < limit && !memory.is_present(uint64_t{run.page} + end)) ++end;
      batch.add({run.page + at, run.slot + at, end - at});
      at = end;
    }
  }
  return batch.flush();
}

PlaceResult install_plain(GuestMemory& memory, ByteSpan plain, std::span<const SlotRun> runs,
                          Wake wake) {
  // As many pages inside the gate at a time as of ciphertext; GuestMemory leaves out what is there.
  for (size_t at = 0, offset = 0; at < runs.size();) {
    const GatePass pass(memory.gate());
    for (uint64_t room = kInstallBatchPages; room > 0 && at < runs.size();) {
      const SlotRun& run = runs[at];
      const uint64_t count = std::min<uint64_t>(room, run.count - offset);
      const PlaceResult result = memory.place(
          {run.page + offset, count}, plain.data() + (run.slot + offset) * kPageBytes, wake);
      if (result.placed != Placed::kDone) return result;
      room -= count;
      offset += count;
      if (offset == run.count) {
        ++at;
        offset = 0;
      }
    }
  }
  return {};
}

}  // namespace thaw
