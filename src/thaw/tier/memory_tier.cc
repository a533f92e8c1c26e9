// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/memory_tier.h"

#include <algorithm>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {
namespace {

uint32_t slots_for(const MemoryTierOptions& options) {
  const uint64_t slots = 2 * options.bytes_max / options.slot_bytes;
  return static_cast<uint32_t>(std::clamp<uint64_t>(slots, 1, kPolicySlotsMax));
}

}  // namespace

Result<void> MemoryTierOptions::validate() const {
  TRY(validate_chunk_bytes(slot_bytes));
  if (bytes_max != 0 && bytes_max < kChunkBytesMax) {
    return fail(ErrorCode::kInvalid, "the memory tier must be 0 or at least one chunk of 4 MiB");
  }
  return {};
}

MemoryTier::MemoryTier(const MemoryTierOptions& options, ChunkSource& below)
    : options_(options), below_(below) {
  entries_.with([&](Entries& entries) {
    const uint32_t count = slots_for(options);
    entries.policy = make_policy(options.policy, count);
    entries.slots.resize(count);
    entries.free.reserve(count);
    for (uint32_t slot = count; slot-- > 0;) entries.free.push_back(slot);
  });
}

ChunkRef MemoryTier::lookup(const ChunkId& id) {
  ChunkRef found = entries_.with([&](Entries& entries) -> ChunkRef {
    const auto entry = entries.slot_of.find(id);
    if (entry == entries.slot_of.end()) return nullptr;
    entries.policy->hit(entry->second);
    return entries.slots[entry->second];
  });
  // Who finds nothing goes on to fetch(), which counts the miss.
  if (found) counters_.hits.fetch_add(1, std::memory_order_relaxed);
  return found;
}

void MemoryTier::fetch(const ChunkRequest& request, Completion done) {
  if (ChunkRef found = lookup(request.id)) {
    done(std::move(found));
    return;
  }
  counters_.misses.fetch_add(1, std::memory_order_relaxed);
  below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> result) {
    if (result) insert(*result);
    done(std::move(result));
  });
}

ChunkRef MemoryTier::evict_one(Entries& entries) {
  const std::optional<uint32_t> victim = entries.policy->evict([](uint32_t) { return false; });
  CHECK(victim.has_value());
  ChunkRef chunk = std::exchange(entries.slots[*victim], nullptr);
  entries.free.push_back(*victim);
  entries.slot_of.erase(chunk->id);
  entries.bytes -= chunk->ciphertext().size();
  return chunk;
}

void MemoryTier::insert(const ChunkRef& chunk) {
  const uint64_t size = chunk->ciphertext().size();
  if (size > options_.bytes_max) return;
  // Evicted chunks are freed after the lock is released.
  std::vector<ChunkRef> evicted;
  entries_.with([&](Entries& entries) {
    if (entries.slot_of.contains(chunk->id)) return;
    while (entries.bytes + size > options_.bytes_max || entries.free.empty()) {
      evicted.push_back(evict_one(entries));
    }
    const uint32_t slot = entries.free.back();
    entries.free.pop_back();
    entries.slots[slot] = chunk;
    entries.slot_of.emplace(chunk->id, slot);
    entries.policy->inserted(slot, std::hash<ChunkId>()(chunk->id));
    entries.bytes += size;
  });
  counters_.evictions.fetch_add(evicted.size(), std::memory_order_relaxed);
}

uint64_t MemoryTier::bytes() const {
  return entries_.with([](const Entries& entries) { return entries.bytes; });
}

std::string MemoryTier::describe() const {
  return "memory(" + human_bytes(options_.bytes_max) + ") -> " + below_.describe();
}

}  // namespace thaw
