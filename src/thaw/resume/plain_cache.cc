// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/plain_cache.h"

#include <algorithm>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {
namespace {

// What follows each other in the chunk does so in the piece too, and is decrypted with one call.
void decrypt_runs(CtrCipher& cipher, ByteSpan ciphertext, std::span<const SlotRun> runs,
                  std::byte* out) {
  for (size_t i = 0; i < runs.size();) {
    uint32_t count = runs[i].count;
    size_t next = i + 1;
    while (next < runs.size() && runs[next].slot == runs[i].slot + count) {
      count += runs[next++].count;
    }
    decrypt_pages(cipher, ciphertext, runs[i].slot, count, out);
    out += uint64_t{count} * kPageBytes;
    i = next;
  }
}

}  // namespace

PlainCache::PlainCache(const ResumeImage& image, const PrefetchPlan& plan, uint64_t bytes_max)
    : plan_(plan), bytes_max_(bytes_max), entries_(plan.slices.size() + plan.chunks.size()) {
  uint32_t piece = 0;
  for (const Slice& slice : plan.slices) add_piece(piece++, slice.runs);
  for (const uint32_t chunk : plan.chunks) {
    chunk_pieces_.emplace_back(chunk, piece);
    add_piece(piece++, image.slots_of(chunk));
  }
  std::ranges::sort(chunk_pieces_);
  std::ranges::sort(places_, {}, &Place::page);
}

void PlainCache::add_piece(uint32_t piece, std::vector<SlotRun> sources) {
  Entry& entry = entries_[piece];
  std::ranges::sort(sources, {}, &SlotRun::slot);
  for (const SlotRun& run : sources) {
    entry.piece.runs.push_back({run.page, entry.pages, run.count});
    places_.push_back({run.page, run.count, piece, entry.pages});
    entry.pages += run.count;
  }
  entry.sources = std::move(sources);
}

std::optional<uint32_t> PlainCache::piece_of_chunk(uint32_t chunk) const {
  const auto found =
      std::ranges::lower_bound(chunk_pieces_, chunk, {}, &std::pair<uint32_t, uint32_t>::first);
  if (found == chunk_pieces_.end() || found->first != chunk) return std::nullopt;
  return found->second;
}

const std::byte* PlainCache::find_page(uint64_t page) const {
  const auto after = std::ranges::upper_bound(places_, page, {}, &Place::page);
  if (after == places_.begin()) return nullptr;
  const Place& place = *std::prev(after);
  if (page - place.page >= place.count) return nullptr;
  const PlainPiece* const piece = find(place.piece);
  if (piece == nullptr) return nullptr;
  return piece->plain.data() + (place.slot + (page - place.page)) * kPageBytes;
}

bool PlainCache::reserve(uint64_t bytes) {
  uint64_t used = counters_.bytes.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ || used > bytes_max_ - bytes) return false;
  } while (!counters_.bytes.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

const PlainPiece* PlainCache::fill(uint32_t piece, ByteSpan ciphertext, CtrCipher& cipher) {
  Entry& entry = entries_[piece];
  State seen = State::kEmpty;
  if (!entry.state.compare_exchange_strong(seen, State::kFilling, std::memory_order_acq_rel)) {
    return seen == State::kFull ? &entry.piece : nullptr;
  }
  const uint64_t bytes = uint64_t{entry.pages} * kPageBytes;
  if (!reserve(bytes)) {
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    entry.state.store(State::kEmpty, std::memory_order_release);
    return nullptr;
  }
  entry.piece.plain = SecretBytes(bytes);
  decrypt_runs(cipher, ciphertext, entry.sources, entry.piece.plain.data());
  counters_.fills.fetch_add(1, std::memory_order_relaxed);
  entry.state.store(State::kFull, std::memory_order_release);
  return &entry.piece;
}

}  // namespace thaw
