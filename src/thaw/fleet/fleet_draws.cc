// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_draws.h"

#include <cmath>

#include "thaw/base/check.h"

namespace thaw {
namespace {

std::vector<double> zipf_weights(uint32_t count, double exponent) {
  std::vector<double> weights(count);
  for (uint32_t i = 0; i < count; ++i) weights[i] = std::pow(1.0 + i, -exponent);
  return weights;
}

double power(double base, unsigned exponent) {
  double result = 1;
  for (unsigned i = 0; i < exponent; ++i) result *= base;
  return result;
}

/// The probability that at least `rank` of `of` answers are there, each with probability `p`.
double order_statistic(double p, unsigned rank, unsigned of) {
  double sum = 0;
  double choose = 1;  // `of` over i
  for (unsigned i = 0; i <= of; ++i) {
    if (i >= rank) sum += choose * power(p, i) * power(1 - p, of - i);
    choose = choose * (of - i) / (i + 1);
  }
  return sum;
}

}  // namespace

ZipfRanks::ZipfRanks(uint32_t count, double exponent)
    : distribution_(zipf_weights(count, exponent)) {}

LatencyTable::LatencyTable(const LatencyShape& shape, unsigned rank, unsigned of, unsigned together)
    : ns_(size_t{1} << kBits, 0) {
  CHECK(rank >= 1 && rank <= of && together >= 1);
  if (shape.p50_ms <= 0) return;
  for (size_t i = 0; i < ns_.size(); ++i) {
    const double quantile = (static_cast<double>(i) + 0.5) / static_cast<double>(ns_.size());
    // All of `together` by then: each alone at the root of it.
    const double alone = std::pow(quantile, 1.0 / together);
    double low = 0;
    double high = 1;
    for (int step = 0; step < 48; ++step) {
      const double middle = (low + high) / 2;
      (order_statistic(middle, rank, of) < alone ? low : high) = middle;
    }
    ns_[i] = shape.at((low + high) / 2).count();
  }
}

}  // namespace thaw
