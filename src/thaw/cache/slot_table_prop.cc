// SPDX-License-Identifier: Apache-2.0
//
// The slot table against a plain model: maps from chunks to slots and sets of who is where, over
// random fills that end well or badly, pins, drops and their ends in any order.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "thaw/cache/disk_cache_test.h"
#include "thaw/cache/slot_table.h"

namespace thaw {
namespace {

struct Model {
  std::map<uint64_t, uint32_t> resident;  // chunk -> slot
  std::map<uint32_t, uint64_t> filling;   // slot -> chunk
  std::multiset<uint32_t> pins;           // by readers

  bool has_slot(uint32_t slot) const {
    for (const auto& [chunk, at] : resident) {
      if (at == slot) return true;
    }
    return false;
  }
};

RC_GTEST_PROP(SlotTable, IsItsModel, ()) {
  const auto slots = *rc::gen::inRange<uint32_t>(1, 9);
  const auto chunks = *rc::gen::inRange<uint64_t>(1, 20);
  const auto policy = *rc::gen::element(PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo);
  const auto moves =
      *rc::gen::scale(5, rc::gen::container<std::vector<std::pair<int, uint64_t>>>(rc::gen::pair(
                             rc::gen::inRange(0, 100), rc::gen::arbitrary<uint64_t>())));
  SlotTable table(slots, policy, 12345, {});
  Model model;
  std::vector<uint32_t> readers;
  for (const auto& [kind, random] : moves) {
    const uint64_t chunk = random % chunks;
    const ChunkId id = id_of(chunk);
    const auto at = model.resident.find(chunk);
    if (kind < 40) {
      const SlotTable::Fill fill = table.begin_fill(id, pages_of(chunk, 16));
      bool present = at != model.resident.end();
      for (const auto& [slot, filled] : model.filling) present |= filled == chunk;
      RC_ASSERT((fill.status == SlotTable::Fill::Status::kPresent) == present);
      if (present) continue;
      // A slot can be had if one is neither being filled nor read.
      std::set<uint32_t> busy(model.pins.begin(), model.pins.end());
      for (const auto& [slot, filled] : model.filling) busy.insert(slot);
      RC_ASSERT((fill.status == SlotTable::Fill::Status::kBegun) == (busy.size() < slots));
      if (fill.status != SlotTable::Fill::Status::kBegun) continue;
      RC_ASSERT(fill.slot < slots && !busy.contains(fill.slot));
      RC_ASSERT(fill.evicted == model.has_slot(fill.slot));
      std::erase_if(model.resident, [&](const auto& entry) { return entry.second == fill.slot; });
      model.filling[fill.slot] = chunk;
    } else if (kind < 70 && !model.filling.empty()) {
      const auto [slot, filled] =
          *std::next(model.filling.begin(), static_cast<ptrdiff_t>(random % model.filling.size()));
      const bool succeeded = kind < 64;
      table.end_fill(slot, succeeded);
      model.filling.erase(slot);
      if (succeeded) model.resident[filled] = slot;
    } else if (kind < 80) {
      const auto lease = table.pin(id);
      RC_ASSERT(lease.has_value() == (at != model.resident.end()));
      if (!lease) continue;
      RC_ASSERT(lease->slot == at->second && lease->id == id);
      RC_ASSERT(lease->pages == pages_of(chunk, 16));
      model.pins.insert(lease->slot);
      readers.push_back(lease->slot);
    } else if (kind < 92 && !readers.empty()) {
      std::swap(readers[random % readers.size()], readers.back());
      const uint32_t slot = readers.back();
      readers.pop_back();
      table.unpin(slot);
      model.pins.erase(model.pins.find(slot));
    } else if (!readers.empty()) {
      const uint32_t slot = readers[random % readers.size()];
      RC_ASSERT(table.drop(slot) == model.has_slot(slot));
      std::erase_if(model.resident, [&](const auto& entry) { return entry.second == slot; });
    }
    uint64_t pages = 0;
    for (uint64_t i = 0; i < chunks; ++i) {
      RC_ASSERT(table.contains(id_of(i)) == model.resident.contains(i));
      if (model.resident.contains(i)) pages += pages_of(i, 16);
    }
    RC_ASSERT(table.resident() == model.resident.size());
    RC_ASSERT(table.resident_pages() == pages);
  }
  // Once everybody is done, every slot can be had again.
  for (const uint32_t slot : readers) table.unpin(slot);
  for (const auto& [slot, filled] : model.filling) table.end_fill(slot, false);
  std::set<uint32_t> had;
  for (uint32_t i = 0; i < slots; ++i) {
    const SlotTable::Fill fill = table.begin_fill(id_of(1000 + i), 1);
    RC_ASSERT(fill.status == SlotTable::Fill::Status::kBegun);
    RC_ASSERT(had.insert(fill.slot).second);
  }
}

RC_GTEST_PROP(SlotTable, TakesOverWhatWasFound, ()) {
  const auto slots = *rc::gen::inRange<uint32_t>(1, 40);
  std::vector<SlotTable::Found> found;
  std::map<uint64_t, std::pair<uint64_t, uint32_t>> newest;  // chunk -> sequence, slot
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (*rc::gen::element(false, true, true) == false) continue;
    const auto chunk = *rc::gen::inRange<uint64_t>(0, slots);
    const auto sequence = *rc::gen::inRange<uint64_t>(1, 1000) * slots + slot;
    found.push_back({slot, id_of(chunk), pages_of(chunk, 16), sequence});
    newest[chunk] = std::max(newest[chunk], {sequence, slot});
  }
  SlotTable table(slots, PolicyKind::kLru, 1, found);
  RC_ASSERT(table.resident() == newest.size());
  for (uint64_t chunk = 0; chunk < slots; ++chunk) {
    const auto lease = table.pin_quietly(id_of(chunk));
    RC_ASSERT(lease.has_value() == newest.contains(chunk));
    if (!lease) continue;
    RC_ASSERT(lease->slot == newest[chunk].second);
    table.unpin(lease->slot);
  }
  // The free slots go first, then the chunks from the lowest sequence on.
  const size_t free = slots - newest.size();
  uint64_t last = 0;
  for (uint32_t i = 0; i < slots; ++i) {
    const SlotTable::Fill fill = table.begin_fill(id_of(1000 + i), 1);
    RC_ASSERT(fill.status == SlotTable::Fill::Status::kBegun);
    RC_ASSERT(fill.evicted == (i >= free));
    if (!fill.evicted) continue;
    for (const auto& [chunk, where] : newest) {
      if (where.second != fill.slot) continue;
      RC_ASSERT(where.first > last);
      last = where.first;
    }
  }
}

}  // namespace
}  // namespace thaw
