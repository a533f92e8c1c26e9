// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/compare_results.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "thaw/base/check.h"

namespace thaw {
namespace {

constexpr size_t kResamples = 2000;
constexpr uint64_t kSeed = 1;

void resample(std::span<const double> values, std::mt19937_64& random, std::vector<double>& drawn) {
  drawn.resize(values.size());
  for (double& value : drawn) value = values[random() % values.size()];
}

/// By the cell's key.
std::map<std::string, std::vector<double>> samples_by_cell(const Results& results) {
  std::map<std::string, std::vector<double>> samples;
  for (const Measurement& each : results.measurements) {
    if (each.warm_up) continue;
    std::vector<double>& of = samples[each.cell.key()];
    of.insert(of.end(), each.resume_ms.begin(), each.resume_ms.end());
  }
  return samples;
}

}  // namespace

double median_of(std::vector<double> values) {
  CHECK(!values.empty());
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Interval medians_interval(std::span<const std::vector<double>> samples, const OfMedians& of) {
  CHECK(!samples.empty());
  std::mt19937_64 random(kSeed);
  std::vector<double> drawn;
  std::vector<double> medians(samples.size());
  std::vector<double> values(kResamples);
  for (double& value : values) {
    for (size_t i = 0; i < samples.size(); ++i) {
      CHECK(!samples[i].empty());
      resample(samples[i], random, drawn);
      medians[i] = median_of(drawn);
    }
    value = of(medians);
    // 0 / 0 has no place in an order.
    if (std::isnan(value)) value = std::numeric_limits<double>::infinity();
  }
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(kResamples - 1))];
  };
  return {at(0.025), at(0.975)};
}

Interval ratio_interval(std::span<const double> a, std::span<const double> b) {
  const std::vector<double> samples[] = {{a.begin(), a.end()}, {b.begin(), b.end()}};
  return medians_interval(samples, [](std::span<const double> of) { return of[1] / of[0]; });
}

std::vector<Cell> cells_of(const Results& results) {
  std::set<Cell> cells;
  for (const Measurement& each : results.measurements) cells.insert(each.cell);
  return {cells.begin(), cells.end()};
}

std::vector<double> samples_of(const Results& results, const Cell& cell) {
  std::vector<double> samples;
  // By key: what is of no matter to a cell, as the chunk size is to a plain file, may differ.
  const std::string key = cell.key();
  for (const Measurement& each : results.measurements) {
    if (each.warm_up || each.cell.key() != key) continue;
    samples.insert(samples.end(), each.resume_ms.begin(), each.resume_ms.end());
  }
  return samples;
}

ResultsComparison compare_results(const Results& a, const Results& b) {
  const auto of_a = samples_by_cell(a);
  const auto of_b = samples_by_cell(b);
  ResultsComparison comparison;
  for (const auto& [key, samples] : of_b) comparison.only_b += of_a.contains(key) ? 0 : 1;
  for (const Cell& cell : cells_of(a)) {
    const auto in_a = of_a.find(cell.key());
    if (in_a == of_a.end()) continue;  // warm-up only
    const auto in_b = of_b.find(cell.key());
    if (in_b == of_b.end()) {
      ++comparison.only_a;
      continue;
    }
    CellComparison each{.cell = cell,
                        .samples_a = in_a->second.size(),
                        .samples_b = in_b->second.size(),
                        .median_a = median_of(in_a->second),
                        .median_b = median_of(in_b->second)};
    each.ratio = each.median_b / each.median_a;
    each.interval = ratio_interval(in_a->second, in_b->second);
    comparison.cells.push_back(each);
  }
  return comparison;
}

}  // namespace thaw
