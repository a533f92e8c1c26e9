// SPDX-License-Identifier: Apache-2.0
//
// SpaceNeeds: the disk and memory that a scenario takes at least, from the functions' shapes. At
// least: it is for refusing what cannot fit before hours are spent, not for promising that all
// does.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "thaw/base/result.h"
#include "thaw/base/units.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/scenario.h"

namespace thaw {

/// What the playground reserves on the disk for the local tier of the cell's function, chunks of
/// every layout, and a diff's, included.
uint64_t lab_cache_bytes(const Cell& cell, const FunctionTrace& function);

struct SpaceNeeds {
  uint64_t result_bytes = 0;   // of results.jsonl
  uint64_t scratch_bytes = 0;  // beside it: plain images, the study's files, disk caches
  uint64_t store_bytes = 0;    // in memory: stores and oracles
  uint64_t guest_bytes = 0;    // in memory: the guests of the largest cell
  /// "at least 1.5 GiB in DIR and 3 GiB in MEMORY".
  std::string describe(const std::string& disk, const std::string& memory) const;
};

/// Functions as the guests of the driver have them.
using CellFunctions = std::map<std::pair<LabDriver, std::string>, FunctionTrace>;

/// `functions` has each function of the scenario.
SpaceNeeds space_needs(const Scenario& scenario, const CellFunctions& functions);

/// kExhausted, with what is needed and what is free, if one of the directories, which exist, or
/// the machine's memory has less.
Result<void> check_space(const SpaceNeeds& needs, const std::string& disk,
                         const std::string& memory);

}  // namespace thaw
