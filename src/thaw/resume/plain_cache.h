// SPDX-License-Identifier: Apache-2.0
//
// PlainCache: what a prefetch plan loads, decrypted once and installed into every further clone
// without fetch, verification or decryption. For the sessions of one page server: one image, one
// tenant, one plan.
//
// Plaintext lives here in SecretBytes: out of core dumps, locked as far as RLIMIT_MEMLOCK allows,
// wiped when the cache goes. It is kept from the plan's beginning until the bound is reached, and
// never given up before the end: every clone goes through the same plan in the same order, so
// whatever evicts for the sake of what comes later would lose each page before its next use.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/secret.h"
#include "thaw/resume/resume_image.h"
#include "thaw/resume/strategy.h"

namespace thaw {

/// What is kept where clones are asked for and nothing else is configured.
inline constexpr uint64_t kPlainBytesMaxDefault = 256ull << 20;

/// The pages that one step of the plan loads, once they are there. Immutable then.
struct PlainPiece {
  SecretBytes plain;
  std::vector<SlotRun> runs;  // their slots count the pages of `plain`
};

/// Members may be called from many threads. Nothing locks: a lookup is an atomic load, and after a
/// binary search where it goes by page.
class PlainCache {
 public:
  struct Counters {
    std::atomic<uint64_t> fills{0};
    std::atomic<uint64_t> refused{0};  // pieces that the bound leaves no room for, each time
    std::atomic<uint64_t> bytes{0};    // of plaintext, now
  };

  /// Borrows the plan, which is the image's. Costs 16 bytes a run of the plan.
  PlainCache(const ResumeImage& image, const PrefetchPlan& plan, uint64_t bytes_max);

  /// Pieces are numbered like the slices of the plan, or like its chunks. This is the number by the
  /// manifest's; nullopt for a chunk that the plan does not load.
  std::optional<uint32_t> piece_of_chunk(uint32_t chunk) const;

  /// nullptr until somebody has filled it. Valid as long as the cache.
  const PlainPiece* find(uint32_t piece) const {
    const Entry& entry = entries_[piece];
    return entry.state.load(std::memory_order_acquire) == State::kFull ? &entry.piece : nullptr;
  }
  /// The page's plaintext if its piece is there, else nullptr.
  const std::byte* find_page(uint64_t page) const;

  /// Decrypts the piece from its chunk, which is verified, under the key that `cipher` holds, and
  /// keeps it. What is there then; nullptr if another thread is about to fill it or the bound
  /// leaves no room: then the caller decrypts for itself.
  const PlainPiece* fill(uint32_t piece, ByteSpan ciphertext, CtrCipher& cipher);

  bool is_for(const PrefetchPlan& plan) const { return &plan == &plan_; }
  const Counters& counters() const { return counters_; }

 private:
  // Where a run of the image's pages stands in its piece.
  struct Place {
    uint32_t page = 0;
    uint32_t count = 0;
    uint32_t piece = 0;
    uint32_t slot = 0;
  };

  enum class State : uint8_t { kEmpty, kFilling, kFull };
  struct Entry {
    std::atomic<State> state{State::kEmpty};
    PlainPiece piece;              // its plaintext belongs to who fills, then to nobody
    std::vector<SlotRun> sources;  // the same runs as they stand in the chunk, by slot
    uint32_t pages = 0;
  };

  void add_piece(uint32_t piece, std::vector<SlotRun> sources);
  bool reserve(uint64_t bytes);

  const PrefetchPlan& plan_;
  const uint64_t bytes_max_;
  std::vector<Entry> entries_;                               // by piece
  std::vector<std::pair<uint32_t, uint32_t>> chunk_pieces_;  // chunk and piece, ascending
  std::vector<Place> places_;                                // ascending
  Counters counters_;
};

}  // namespace thaw
