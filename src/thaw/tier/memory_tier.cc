// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/memory_tier.h"

#include <vector>

namespace thaw {

ChunkRef MemoryTier::lookup(const ChunkId& id) {
  ChunkRef found = entries_.with([&](Entries& entries) -> ChunkRef {
    const auto entry = entries.by_id.find(id);
    if (entry == entries.by_id.end()) return nullptr;
    entries.order.splice(entries.order.begin(), entries.order, entry->second);
    return *entry->second;
  });
  (found ? counters_.hits : counters_.misses).fetch_add(1, std::memory_order_relaxed);
  return found;
}

void MemoryTier::fetch(const ChunkRequest& request, Completion done) {
  if (ChunkRef found = lookup(request.id)) {
    done(std::move(found));
    return;
  }
  below_.fetch(request, [this, done = std::move(done)](Result<ChunkRef> result) {
    if (result) insert(*result);
    done(std::move(result));
  });
}

void MemoryTier::insert(const ChunkRef& chunk) {
  const uint64_t size = chunk->ciphertext().size();
  if (size > bytes_max_) return;
  // Evicted chunks are freed after the lock is released.
  std::vector<ChunkRef> evicted;
  entries_.with([&](Entries& entries) {
    if (entries.by_id.contains(chunk->id)) return;
    while (entries.bytes + size > bytes_max_) {
      evicted.push_back(std::move(entries.order.back()));
      entries.order.pop_back();
      entries.by_id.erase(evicted.back()->id);
      entries.bytes -= evicted.back()->ciphertext().size();
    }
    entries.order.push_front(chunk);
    entries.by_id.emplace(chunk->id, entries.order.begin());
    entries.bytes += size;
  });
  counters_.evictions.fetch_add(evicted.size(), std::memory_order_relaxed);
}

uint64_t MemoryTier::bytes() const {
  return entries_.with([](const Entries& entries) { return entries.bytes; });
}

std::string MemoryTier::describe() const {
  return "memory(" + human_bytes(bytes_max_) + ") -> " + below_.describe();
}

}  // namespace thaw
