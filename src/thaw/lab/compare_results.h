// SPDX-License-Identifier: Apache-2.0
//
// compare_results: which cells of two runs differ for real, or of one run from a baseline cell.
// Ratios of medians with bootstrap confidence intervals (Efron, "Bootstrap Methods: Another Look at
// the Jackknife", 1979; percentile intervals).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "thaw/lab/results_file.h"

namespace thaw {

struct Interval {
  double low = 0;
  double high = 0;
};

/// A cell's resume times in both runs, in ms: medians over all counted repetitions and clones.
struct CellComparison {
  Cell cell;
  size_t samples_a = 0, samples_b = 0;
  double median_a = 0, median_b = 0;
  double ratio = 0;   // b over a
  Interval interval;  // of the ratio, 95 %
  /// The interval does not hold 1.
  bool differs() const { return interval.low > 1 || interval.high < 1; }
};

struct ResultsComparison {
  std::vector<CellComparison> cells;  // in both, in the order of cells_of()
  size_t only_a = 0, only_b = 0;      // cells that the other has not
};

/// Warm-up rounds are left out. Deterministic.
ResultsComparison compare_results(const Results& a, const Results& b);

/// The counted resume times of a cell, in ms.
std::vector<double> samples_of(const Results& results, const Cell& cell);
/// Every cell once, in order: by storage first.
std::vector<Cell> cells_of(const Results& results);

/// The middle value, or the mean of the two; `values` is not empty.
double median_of(std::vector<double> values);

/// What is computed of several samples' medians, which come in the samples' order.
using OfMedians = std::function<double(std::span<const double> medians)>;
/// The 95 % interval of `of`, by seeded draws, of each sample by itself; none is empty. A draw of
/// which `of` makes no number counts as infinite.
Interval medians_interval(std::span<const std::vector<double>> samples, const OfMedians& of);
/// The 95 % interval of median(b) / median(a), the same way; neither is empty.
Interval ratio_interval(std::span<const double> a, std::span<const double> b);

}  // namespace thaw
