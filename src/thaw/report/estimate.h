// SPDX-License-Identifier: Apache-2.0
//
// Estimate: a value of several rounds' measurements with its uncertainty. One round is one draw,
// however many clones it resumed: clones of a round share its luck.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "thaw/lab/compare_results.h"

namespace thaw {

struct Estimate {
  double value = 0;
  std::optional<Interval> interval;  // 95 %; none of one round
  size_t rounds = 0;                 // of the sample that has the fewest
};

/// `of` the samples' medians. No sample is empty.
Estimate estimate_of(std::span<const std::vector<double>> samples, const OfMedians& of);
Estimate median_estimate(const std::vector<double>& sample);
/// Of `b` over `a`.
Estimate ratio_estimate(const std::vector<double>& a, const std::vector<double>& b);
/// The mean of the samples' medians.
Estimate mean_estimate(std::span<const std::vector<double>> samples);
/// The geometric mean of ratios; `pairs` has a baseline and what is compared with it, in turns.
Estimate mean_ratio_estimate(std::span<const std::vector<double>> pairs);

}  // namespace thaw
