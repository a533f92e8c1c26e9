// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/space_needs.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_system.h"

namespace thaw {
namespace {

// Where each clone has a snapshot of its own.
constexpr uint64_t kClonesCacheBytes = 2 * kGiB;
constexpr uint64_t kCacheBytesMin = 64 * kMiB;
constexpr uint64_t kResultBytes = 2500;     // a line of results.jsonl
constexpr uint64_t kResultCloneBytes = 50;  // and for each clone
constexpr uint64_t kResultsHeaderBytes = 4096;

/// Of what is not used or can be given up at once; most that is if the kernel does not tell.
uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t kib = 0;
    if (words >> name >> kib && name == "MemAvailable:") return kib * kKiB;
  }
  return UINT64_MAX;
}

/// Those of the call that the cell makes.
std::set<uint64_t> touched_pages(const Cell& cell, const FunctionTrace& function) {
  const bool other = cell.input == LabInput::kOther && function.other;
  std::set<uint64_t> pages;
  for (const TraceEvent& event : (other ? *function.other : function.measured).events) {
    pages.insert(event.page);
  }
  return pages;
}

/// A child that differs in each of these pages: its oracle, its hot layout, and whole chunks in the
/// linear one.
uint64_t child_bytes(const Cell& cell, const std::set<uint64_t>& pages) {
  std::set<uint64_t> chunks;
  for (const uint64_t page : pages) chunks.insert(page * kPageBytes / cell.chunk_bytes);
  return 2 * pages.size() * kPageBytes + chunks.size() * cell.chunk_bytes;
}

Result<void> check_place(const std::string& what, uint64_t needed, const std::string& place,
                         uint64_t free, const std::string& advice) {
  if (needed <= free) return {};
  return fail(ErrorCode::kExhausted, "the scenario needs at least " + human_bytes(needed) +
                                         " for " + what + " in " + place + ", and " +
                                         human_bytes(free) + " are free; " + advice);
}

}  // namespace

std::string SpaceNeeds::describe(const std::string& disk, const std::string& memory) const {
  return "at least " + human_bytes(result_bytes + scratch_bytes) + " in " + disk + " and " +
         human_bytes(store_bytes) + " in " + memory;
}

uint64_t lab_cache_bytes(const Cell& cell, const FunctionTrace& function) {
  if (cell.clones == LabClones::kDifferent) return kClonesCacheBytes;
  return std::max(kCacheBytesMin, 2 * function.shape.page_count * kPageBytes);
}

SpaceNeeds space_needs(const Scenario& scenario, const CellFunctions& functions) {
  SpaceNeeds needs;
  needs.result_bytes = kResultsHeaderBytes;
  std::set<std::string> counted;  // files that cells share
  const auto add = [&counted](uint64_t& sum, const std::string& name, uint64_t bytes) {
    if (counted.insert(name).second) sum += bytes;
  };
  for (const Cell& cell : scenario.cells) {
    const FunctionTrace& function = functions.at({cell.driver, cell.function});
    const uint64_t image = function.shape.page_count * kPageBytes;
    const uint64_t data = function.shape.data_pages() * kPageBytes;
    needs.result_bytes += (scenario.warm_up + scenario.repetitions) *
                          (kResultBytes + kResultCloneBytes * cell.parallel);
    const std::string home =
        cell.function + " " + std::to_string(cell.chunk_bytes) + " " + axis_value(cell, "driver");
    add(needs.scratch_bytes, "plain " + home, data);
    add(needs.store_bytes, "oracle " + home, data);
    add(needs.store_bytes, "store " + home, data);
    const bool ours = is_ours(cell.technique);
    if (ours && cell.tier == LabTier::kLocal) {
      const uint64_t cache = lab_cache_bytes(cell, function);
      add(needs.scratch_bytes, "cache " + home + " " + std::to_string(cache), cache);
    }
    // The study's files have no holes, and each clone its own.
    if (!ours && !is_kernels(cell.technique) && cell.storage != LabStorage::kPlain) {
      for (uint64_t clone = 0; clone < cell.parallel; ++clone) {
        add(needs.scratch_bytes,
            "study " + home + axis_value(cell, "storage") + std::to_string(clone), image);
      }
    }
    const std::set<uint64_t> touched = touched_pages(cell, function);
    for (uint64_t clone = 0; cell.clones == LabClones::kDifferent && clone < cell.parallel;
         ++clone) {
      add(needs.store_bytes, "child " + home + std::to_string(clone), child_bytes(cell, touched));
    }
    const bool whole = cell.technique == Technique::kPresent;
    const uint64_t guest = whole ? image : touched.size() * kPageBytes;
    needs.guest_bytes = std::max(needs.guest_bytes, guest * cell.parallel);
  }
  return needs;
}

Result<void> check_space(const SpaceNeeds& needs, const std::string& disk,
                         const std::string& memory) {
  ASSIGN_OR_RETURN(const uint64_t disk_free, free_bytes(disk));
  TRY(check_place("results and scratch files", needs.result_bytes + needs.scratch_bytes, disk,
                  disk_free, "make room, or choose another --output"));
  ASSIGN_OR_RETURN(const uint64_t memory_free, free_bytes(memory));
  TRY(check_place("stores and oracles", needs.store_bytes, memory, memory_free,
                  "make room, or split the scenario"));
  return check_place("stores, oracles and the largest cell's guests",
                     needs.store_bytes + needs.guest_bytes, "memory", available_memory(),
                     "end other programs, or take large values of parallel out of the scenario");
}

}  // namespace thaw
