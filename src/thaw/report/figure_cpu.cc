// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/panels.h"
#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {

Figure cpu_by_technique(const CountedResults& results) {
  Figure figure{.id = "cpu_by_technique",
                .title = "Processor time of the page server for a resume",
                .kind = FigureKind::kRows};
  Selection selection = select_cells(results, {"storage", "technique"});
  // The kernel's own ways have no page server.
  std::erase_if(selection.groups,
                [](const auto& group) { return is_kernels(group.first.technique); });
  const EstimateOfCells mean = mean_of([](const Measurement& each) {
    return each.cpu_ms / static_cast<double>(each.resume_ms.size());
  });
  const EstimateOfCells measured = [&](CountedCells cells) {
    std::optional<Estimate> found = mean(cells);
    return found && found->value > 0 ? found : std::nullopt;
  };
  figure.panels = make_panels(
      selection, RowPanels{.x = {.title = "processor time, ms a resume", .logarithmic = true},
                           .headings = {"storage"},
                           .estimate = measured,
                           .unit = "ms"});
  if (figure.panels.empty()) {
    figure.needs = "a cell of a page server, of which cpu_ms was measured";
    return figure;
  }
  const Cell* baseline = nullptr;
  const Cell* least = nullptr;
  const Cell* most = nullptr;
  size_t rounds = SIZE_MAX;
  const auto value = [&](const Cell* cell) { return mean(selection.groups.at(*cell))->value; };
  for (const auto& [group, cells] : selection.groups) {
    const std::optional<Estimate> estimate = measured(cells);
    if (!estimate) continue;
    rounds = std::min(rounds, estimate->rounds);
    if (Overhead{.cell = group}.is_baseline()) baseline = &group;
    if (is_thaws(group) && (least == nullptr || estimate->value < value(least))) least = &group;
    if (most == nullptr || estimate->value > value(most)) most = &group;
  }
  const auto words_of = [&](const Cell* cell) {
    return cell_words(*cell) + ", " + estimate_words(*mean(selection.groups.at(*cell)), "ms");
  };
  figure.sentence = "Most is used by " + words_of(most);
  if (least != nullptr) figure.sentence += "; the least of thaw's by " + words_of(least);
  if (baseline != nullptr) figure.sentence += "; to compare with, by " + words_of(baseline);
  figure.sentence += "." + caution_words(rounds);
  figure.notes = {
      "Of the process that serves, user and system, all its threads, over the resumes that it "
      "served. "
      "What the VMM and its guest use is not in it; the kernel's own ways (present, mapping) have "
      "no "
      "such process. Means over functions where there are several.",
      technique_label_note(selection), selection.note};
  figure.table =
      make_table(selection, {"storage", "technique", "tier"}, {{"processor time", "ms", measured}});
  return figure;
}

}  // namespace thaw
