// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/estimate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "thaw/base/check.h"

namespace thaw {

Estimate estimate_of(std::span<const std::vector<double>> samples, const OfMedians& of) {
  CHECK(!samples.empty());
  Estimate estimate;
  std::vector<double> medians;
  estimate.rounds = samples[0].size();
  for (const std::vector<double>& sample : samples) {
    medians.push_back(median_of(sample));
    estimate.rounds = std::min(estimate.rounds, sample.size());
  }
  estimate.value = of(medians);
  if (estimate.rounds > 1) estimate.interval = medians_interval(samples, of);
  return estimate;
}

Estimate median_estimate(const std::vector<double>& sample) {
  return estimate_of(std::span(&sample, 1), [](std::span<const double> of) { return of[0]; });
}

Estimate ratio_estimate(const std::vector<double>& a, const std::vector<double>& b) {
  const std::vector<double> samples[] = {a, b};
  return estimate_of(samples, [](std::span<const double> of) { return of[1] / of[0]; });
}

Estimate mean_estimate(std::span<const std::vector<double>> samples) {
  return estimate_of(samples, [](std::span<const double> of) {
    return std::accumulate(of.begin(), of.end(), 0.0) / static_cast<double>(of.size());
  });
}

Estimate mean_ratio_estimate(std::span<const std::vector<double>> pairs) {
  CHECK(pairs.size() % 2 == 0);
  return estimate_of(pairs, [](std::span<const double> of) {
    double logarithms = 0;
    for (size_t i = 0; i < of.size(); i += 2) logarithms += std::log(of[i + 1] / of[i]);
    return std::exp(logarithms / (static_cast<double>(of.size()) / 2));
  });
}

}  // namespace thaw
