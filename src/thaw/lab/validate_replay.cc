// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/validate_replay.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "thaw/lab/compare_results.h"

namespace thaw {
namespace {

constexpr double kExtraMsMin = 1;

struct BothSamples {
  ValidatedCell cell;
  std::vector<double> replay;
  std::vector<double> real;
};

/// -1, 0 (cannot be told) or 1: whether b takes longer than a.
int order_of(const std::vector<double>& a, const std::vector<double>& b) {
  const Interval ratio = ratio_interval(a, b);
  return ratio.low > 1 ? 1 : ratio.high < 1 ? -1 : 0;
}

/// Each value's rank; equal values share the mean of theirs.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    }
    begin = end;
  }
  return ranks;
}

/// Pearson's correlation of the ranks.
double rank_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() < 2) return 0;
  const std::vector<double> x = ranks_of(a), y = ranks_of(b);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx == 0 || yy == 0 ? 0 : xy / std::sqrt(xx * yy);
}

void count_orders(const std::vector<BothSamples>& cells, ReplayValidation& out) {
  for (size_t i = 0; i < cells.size(); ++i) {
    for (size_t j = i + 1; j < cells.size(); ++j) {
      const int replay = order_of(cells[i].replay, cells[j].replay);
      const int real = order_of(cells[i].real, cells[j].real);
      if (replay == 0 || real == 0) {
        ++out.undecided;
      } else {
        ++(replay == real ? out.same_order : out.other_order);
      }
    }
  }
}

void take_ratios(ReplayValidation& out) {
  std::vector<double> ratios;
  for (const ValidatedCell& each : out.cells) {
    if (each.replay_extra_ms >= kExtraMsMin) {
      ratios.push_back(each.real_extra_ms / each.replay_extra_ms);
    }
  }
  if (ratios.empty()) return;
  const auto [low, high] = std::ranges::minmax(ratios);
  out.extra_ratio_low = low;
  out.extra_ratio_high = high;
  out.extra_ratio = median_of(std::move(ratios));
}

}  // namespace

std::vector<ReplayValidation> validate_replay(const Results& results) {
  std::map<std::pair<std::string, LabInput>, std::vector<BothSamples>> groups;
  for (const Cell& cell : cells_of(results)) {
    if (cell.driver != LabDriver::kReplay) continue;
    Cell real = cell;
    real.driver = LabDriver::kQemu;
    BothSamples both{{.cell = cell}, samples_of(results, cell), samples_of(results, real)};
    if (both.replay.empty() || both.real.empty()) continue;
    both.cell.replay_ms = median_of(both.replay);
    both.cell.real_ms = median_of(both.real);
    groups[{cell.function, cell.input}].push_back(std::move(both));
  }
  std::vector<ReplayValidation> validations;
  for (auto& [key, cells] : groups) {
    const auto is_floor = [](const BothSamples& each) {
      return each.cell.cell.technique == Technique::kPresent;
    };
    const auto floor = std::ranges::find_if(cells, is_floor);
    if (floor == cells.end()) continue;
    const ValidatedCell present = floor->cell;
    std::erase_if(cells, is_floor);
    std::ranges::sort(cells, {}, [](const BothSamples& each) { return each.cell.replay_ms; });
    ReplayValidation validation{.function = key.first, .input = key.second};
    std::vector<double> replay, real;
    for (BothSamples& each : cells) {
      each.cell.replay_extra_ms = each.cell.replay_ms - present.replay_ms;
      each.cell.real_extra_ms = each.cell.real_ms - present.real_ms;
      replay.push_back(each.cell.replay_ms);
      real.push_back(each.cell.real_ms);
      validation.cells.push_back(each.cell);
    }
    count_orders(cells, validation);
    validation.rank_correlation = rank_correlation(replay, real);
    take_ratios(validation);
    validations.push_back(std::move(validation));
  }
  return validations;
}

}  // namespace thaw
