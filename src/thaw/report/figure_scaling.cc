// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/panels.h"
#include "thaw/report/quantities.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

struct Ends {
  const Cell* fewest = nullptr;
  const Cell* most = nullptr;
};

/// The least and the most at once, by line.
std::map<Cell, Ends> ends_of(const Selection& selection) {
  std::map<Cell, Ends> ends;
  for (const auto& [group, cells] : selection.groups) {
    Cell key = group;
    key.parallel = 0;
    Ends& of = ends[key];
    if (of.fewest == nullptr || group.parallel < of.fewest->parallel) of.fewest = &group;
    if (of.most == nullptr || group.parallel > of.most->parallel) of.most = &group;
  }
  return ends;
}

/// How much longer a resume takes: the geometric mean over functions, which both have.
Estimate growth_of(const Selection& selection, const Ends& ends) {
  std::vector<std::vector<double>> pairs;
  for (const CountedCell* few : selection.groups.at(*ends.fewest)) {
    for (const CountedCell* many : selection.groups.at(*ends.most)) {
      if (few->cell.function != many->cell.function) continue;
      pairs.push_back(few->resume_ms());
      pairs.push_back(many->resume_ms());
    }
  }
  return mean_ratio_estimate(pairs);
}

}  // namespace

Figure time_by_parallel(const CountedResults& results) {
  Figure figure{.id = "time_by_parallel",
                .title = "Resume time against resumes at once",
                .kind = FigureKind::kLines};
  Selection selection = select_cells(results, {"storage", "technique", "parallel", "clones"});
  keep_lines(selection, "parallel");
  if (selection.empty()) {
    figure.needs = "two values of parallel or more, of the same storage, technique and function";
    return figure;
  }
  const EstimateOfCells median = mean_of(resume_ms);
  figure.panels = make_panels(
      selection,
      LinePanels{.x = {.title = "resumes at once", .logarithmic = true},
                 .y = {.title = "resume time, ms", .logarithmic = true},
                 .x_of = [](const Cell& cell) { return static_cast<double>(cell.parallel); },
                 .estimate = median,
                 .unit = "ms"});
  std::vector<std::string> words;
  size_t rounds = SIZE_MAX;
  for (const auto& [key, of] : ends_of(selection)) {
    const Estimate growth = growth_of(selection, of);
    words.push_back(cell_words(key) + ", " + number_words(static_cast<double>(of.most->parallel)) +
                    " instead of " + number_words(static_cast<double>(of.fewest->parallel)) + ", " +
                    estimate_words(growth, "times"));
    rounds = std::min(rounds, growth.rounds);
  }
  figure.sentence = "How much longer a resume takes, with more at once: " + clause_words(words) +
                    "." + caution_words(rounds);
  figure.notes = {
      "Of each round the median over its clones; the interval is over rounds, since the clones of "
      "a "
      "round share its luck. Different snapshots have each their own working set, of one function. "
      "As many times longer as there are resumes: nothing is shared.",
      selection.note};
  figure.table = make_table(selection, {"storage", "technique", "tier", "parallel", "clones"},
                            {{"median", "ms", median},
                             {"slowest", "ms", mean_of([](const Measurement& each) {
                                return std::ranges::max(each.resume_ms);
                              })},
                             {"rate", "resumes/s", mean_of([](const Measurement& each) {
                                return 1000 * static_cast<double>(each.resume_ms.size()) /
                                       std::ranges::max(each.resume_ms);
                              })}});
  return figure;
}

}  // namespace thaw
