// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/paired.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {
namespace {

double at_share(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  return sorted[below] * (1 - weight) + sorted[above] * weight;
}

}  // namespace

Quartiles quartiles_of(std::vector<double> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  return {at_share(values, 0.25), at_share(values, 0.5), at_share(values, 0.75)};
}

std::vector<Comparison> compare_all(const std::vector<PairedSpec>& specs, int rounds,
                                    const std::function<std::vector<double>()>& ours,
                                    const std::function<std::vector<double>()>& baseline) {
  const size_t count = specs.size();
  std::vector<std::vector<double>> ratios(count), our_values(count), floors(count);
  for (int round = specs.front().warm_up ? -1 : 0; round < rounds; ++round) {
    const bool ours_first = round % 2 != 0;
    std::vector<double> mine;
    if (ours_first) mine = ours();
    const std::vector<double> base = baseline();
    if (!ours_first) mine = ours();
    CHECK(mine.size() == count && base.size() == count);
    if (round < 0) continue;
    for (size_t i = 0; i < count; ++i) {
      ratios[i].push_back(mine[i] / (base[i] * specs[i].baseline_factor));
      our_values[i].push_back(mine[i]);
      floors[i].push_back(base[i]);
    }
  }
  std::vector<Comparison> results;
  for (size_t i = 0; i < count; ++i) {
    const PairedSpec& spec = specs[i];
    results.push_back({spec.name, spec.what, spec.unit, spec.target, spec.at_least,
                       quartiles_of(ratios[i]), quartiles_of(our_values[i]).median,
                       quartiles_of(floors[i]).median, spec.report_only});
  }
  return results;
}

Comparison compare(const PairedSpec& spec, int rounds, const std::function<double()>& ours,
                   const std::function<double()>& baseline) {
  return compare_all(
      {spec}, rounds, [&] { return std::vector<double>{ours()}; },
      [&] { return std::vector<double>{baseline()}; })[0];
}

Comparison against_limit(const std::string& name, const std::string& what, const std::string& unit,
                         double limit, bool at_least, const std::vector<double>& samples) {
  const Quartiles figure = quartiles_of(samples);
  return {name,          what,
          unit,          1,
          at_least,      {figure.low / limit, figure.median / limit, figure.high / limit},
          figure.median, limit};
}

}  // namespace thaw
