// SPDX-License-Identifier: Apache-2.0
//
// Overhead: a cell's resume time over that of REAP over a plain file, with the same function,
// input, parallelism and driver; of one function, and over all of a group.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "thaw/report/counted_results.h"
#include "thaw/report/estimate.h"

namespace thaw {

struct Overhead {
  Cell cell;                                                  // its function is empty
  std::vector<std::pair<std::string, Estimate>> by_function;  // at least one
  Estimate mean;                                              // geometric, over all of those

  /// 1 by definition, without an interval.
  bool is_baseline() const;
};

/// In the order of the groups. Cells without a baseline are left out.
std::vector<Overhead> overheads_of(const CountedResults& results, const Selection& selection);

/// The least, and the largest mean of those that `wanted` takes, the baseline never; null if there
/// is none.
using CellFilter = bool (*)(const Cell& cell);
const Overhead* fastest(std::span<const Overhead> overheads, CellFilter wanted);
const Overhead* slowest(std::span<const Overhead> overheads, CellFilter wanted);

/// By a page server of the study's kind.
bool is_study(const Cell& cell);
/// By one of thaw's techniques.
bool is_thaws(const Cell& cell);

/// "hot over chunked_encrypted, 0.61 times (95 %: 0.5 to 0.7)".
std::string overhead_words(const Overhead& overhead);
/// "Geometric mean over 3 functions.", and the caution for few repetitions, with a space before
/// each.
std::string overhead_footing(std::span<const Overhead> overheads);

}  // namespace thaw
