// SPDX-License-Identifier: Apache-2.0
//
// validate_replay: what the replay VMM's figures are worth: does it rank techniques as real guests
// do, and how far are its costs from theirs?
//
// A real guest's time has parts that no technique changes: its computing, and its VMM's own work.
// So what is compared is a cell's time above that of the same guest with all memory present, and
// orders, never whole times.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thaw/lab/results_file.h"

namespace thaw {

/// A cell that both drivers have measured, as its replay cell.
struct ValidatedCell {
  Cell cell;
  double replay_ms = 0;  // medians
  double real_ms = 0;
  double replay_extra_ms = 0;  // above all memory present, of the same driver
  double real_extra_ms = 0;
};

/// One function with one input.
struct ReplayValidation {
  std::string function;
  LabInput input = LabInput::kSame;
  std::vector<ValidatedCell> cells;  // the floor itself left out; ascending by replay_ms
  /// Of the pairs of cells that differ for real (95 % intervals) under both drivers: those in the
  /// same order, and the others. Pairs that either driver cannot tell apart are undecided.
  uint64_t same_order = 0, other_order = 0, undecided = 0;
  /// Spearman's rank correlation of the medians over all cells; 0 for fewer than two.
  double rank_correlation = 0;
  /// The real guest's extra time over the replayed one's: median over cells whose replayed extra is
  /// at least a millisecond, with the lowest and the highest; 0 if there is none.
  double extra_ratio = 0, extra_ratio_low = 0, extra_ratio_high = 0;
};

/// By function and input; those of which one driver has nothing, or no cell with all memory
/// present, are left out.
std::vector<ReplayValidation> validate_replay(const Results& results);

}  // namespace thaw
