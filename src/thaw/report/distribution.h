// SPDX-License-Identifier: Apache-2.0
//
// Distribution: values with weights, as the points of their empirical distribution function.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "thaw/report/figure.h"

namespace thaw {

/// Belongs to one thread.
class Distribution {
 public:
  void add(double value, double weight = 1) { values_.push_back({value, weight}); }
  /// A distribution that is known at some percents only: what lies between two of them counts as
  /// large as the upper. As long as `percents`, which rise.
  void add_quantiles(std::span<const double> values, std::span<const double> percents,
                     double weight);

  bool empty() const { return values_.empty(); }
  size_t size() const { return values_.size(); }
  /// In order of value: x the value, y the percentage of what is at most that, from a first point
  /// at 0 %. At most `points_max` and one, those left out being within steps of like height.
  std::vector<FigurePoint> points(size_t points_max) const;
  /// The least value that at least this percentage does not exceed. Not empty.
  double quantile(double percent) const;

 private:
  struct Weighted {
    double value;
    double weight;
  };
  std::vector<Weighted> sorted() const;

  std::vector<Weighted> values_;
};

/// How far, in percentage points, such a function of that many independent values may lie from the
/// true one, with 95 % confidence: the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's
/// constant (Annals of Probability 18(3), 1990).
double distribution_error(size_t values);

}  // namespace thaw
