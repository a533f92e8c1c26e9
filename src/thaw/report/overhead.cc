// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/overhead.h"

#include <algorithm>

#include "thaw/report/words.h"

namespace thaw {
namespace {

/// By `comes_first` of two means.
template <typename Order>
const Overhead* first_of(std::span<const Overhead> overheads, CellFilter wanted,
                         const Order& comes_first) {
  const Overhead* first = nullptr;
  for (const Overhead& each : overheads) {
    if (each.is_baseline() || !wanted(each.cell)) continue;
    if (first == nullptr || comes_first(each.mean.value, first->mean.value)) first = &each;
  }
  return first;
}

}  // namespace

bool Overhead::is_baseline() const {
  return cell.storage == LabStorage::kPlain && cell.technique == Technique::kStudyReap &&
         cell.snapshot == LabSnapshot::kFull;
}

std::vector<Overhead> overheads_of(const CountedResults& results, const Selection& selection) {
  std::vector<Overhead> overheads;
  for (const auto& [group, cells] : selection.groups) {
    Overhead overhead{.cell = group};
    std::vector<std::vector<double>> pairs;
    for (const CountedCell* each : cells) {
      const CountedCell* const baseline = results.baseline_of(each->cell);
      if (baseline == nullptr) continue;
      if (overhead.is_baseline()) {
        overhead.by_function.emplace_back(each->cell.function,
                                          Estimate{1, std::nullopt, each->rounds.size()});
        continue;
      }
      pairs.push_back(baseline->resume_ms());
      pairs.push_back(each->resume_ms());
      overhead.by_function.emplace_back(each->cell.function,
                                        ratio_estimate(pairs[pairs.size() - 2], pairs.back()));
    }
    if (overhead.by_function.empty()) continue;
    overhead.mean = overhead.by_function.size() == 1 || overhead.is_baseline()
                        ? overhead.by_function[0].second
                        : mean_ratio_estimate(pairs);
    overheads.push_back(std::move(overhead));
  }
  return overheads;
}

const Overhead* fastest(std::span<const Overhead> overheads, CellFilter wanted) {
  return first_of(overheads, wanted, std::less());
}

const Overhead* slowest(std::span<const Overhead> overheads, CellFilter wanted) {
  return first_of(overheads, wanted, std::greater());
}

bool is_study(const Cell& cell) { return !is_ours(cell.technique) && !is_kernels(cell.technique); }
bool is_thaws(const Cell& cell) { return is_ours(cell.technique); }

std::string overhead_words(const Overhead& overhead) {
  return cell_words(overhead.cell) + ", " + estimate_words(overhead.mean, "times");
}

std::string overhead_footing(std::span<const Overhead> overheads) {
  size_t least = SIZE_MAX, most = 0, rounds = SIZE_MAX;
  for (const Overhead& each : overheads) {
    least = std::min(least, each.by_function.size());
    most = std::max(most, each.by_function.size());
    rounds = std::min(rounds, each.mean.rounds);
  }
  std::string words;
  if (most > 1) {
    words = " Geometric mean over " +
            (least == most ? count_words(most, "function")
                           : number_words(static_cast<double>(least)) + " to " +
                                 count_words(most, "function") + ", not the same in all rows") +
            ".";
  }
  return words + caution_words(rounds);
}

}  // namespace thaw
