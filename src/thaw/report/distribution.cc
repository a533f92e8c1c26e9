// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/distribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "thaw/base/check.h"

namespace thaw {

void Distribution::add_quantiles(std::span<const double> values, std::span<const double> percents,
                                 double weight) {
  CHECK(values.size() == percents.size());
  double below = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    add(values[i], weight * (percents[i] - below) / 100);
    below = percents[i];
  }
}

std::vector<Distribution::Weighted> Distribution::sorted() const {
  std::vector<Weighted> in_order = values_;
  std::ranges::sort(in_order, {}, &Weighted::value);
  return in_order;
}

std::vector<FigurePoint> Distribution::points(size_t points_max) const {
  const std::vector<Weighted> in_order = sorted();
  const double total =
      std::accumulate(in_order.begin(), in_order.end(), 0.0,
                      [](double sum, const Weighted& w) { return sum + w.weight; });
  if (total <= 0) return {};
  std::vector<FigurePoint> points{{.x = in_order.front().value, .y = 0}};
  const double step = 100.0 / static_cast<double>(points_max);
  double below = 0;
  for (size_t i = 0; i < in_order.size(); ++i) {
    below += in_order[i].weight;
    const bool last = i + 1 == in_order.size();
    if (!last && in_order[i + 1].value == in_order[i].value) continue;
    const double percent = last ? 100 : 100 * below / total;
    if (last || percent - points.back().y >= step || in_order.size() <= points_max) {
      points.push_back({.x = in_order[i].value, .y = percent});
    }
  }
  return points;
}

double Distribution::quantile(double percent) const {
  CHECK(!values_.empty());
  const std::vector<Weighted> in_order = sorted();
  double total = 0;
  for (const Weighted& each : in_order) total += each.weight;
  double below = 0;
  for (const Weighted& each : in_order) {
    below += each.weight;
    // A sum of shares may fall short of its whole by rounding.
    if (100 * below >= percent * total * (1 - 1e-12)) return each.value;
  }
  return in_order.back().value;
}

double distribution_error(size_t values) {
  CHECK(values > 0);
  return 100 * std::sqrt(std::log(2 / 0.05) / (2 * static_cast<double>(values)));
}

}  // namespace thaw
