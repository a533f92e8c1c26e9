// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <set>

#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

constexpr char kBaselineNeeds[] =
    "storage=plain technique=study_reap to compare with, of the same functions";

/// A figure of overheads: a row for each technique, under a heading for each value of an axis.
struct OverheadFigure {
  std::string id, title;
  std::string heading;  // the axis
  HeldAxes held;
  size_t headings_least = 1;
  std::string needs;
};

FigureAxis ratio_axis() {
  return {.title = "resume time over plain REAP's (ratio)",
          .logarithmic = true,
          .line_at = 1,
          .line_name = "plain REAP"};
}

std::string tip_of(const Overhead& overhead, const Estimate& estimate, const std::string& over) {
  if (overhead.is_baseline()) return cell_words(overhead.cell) + ": what all are compared with";
  return cell_words(overhead.cell) + ": " + estimate_words(estimate, "times") + ", " + over + ", " +
         count_words(estimate.rounds, "round");
}

/// The rows of one panel: `estimate_of_row` yields null for a row that the panel has not.
FigurePanel panel_of(const std::string& name, const std::string& heading,
                     std::span<const Overhead> overheads, size_t functions,
                     const std::function<const Estimate*(const Overhead&)>& estimate_of_row) {
  FigurePanel panel{.name = name, .x = ratio_axis()};
  RowLayout layout;
  for (const Overhead& each : overheads) {
    const Estimate* const estimate = estimate_of_row(each);
    if (estimate == nullptr) continue;
    const std::string technique = axis_value(each.cell, "technique");
    const bool mean = name == kAllFunctions;
    const double row = layout.add(
        heading_words(each.cell, {heading}),
        mean ? technique_label(technique, each.by_function.size(), functions) : technique);
    const std::string over =
        mean ? count_words(each.by_function.size(), "function") : "function " + name;
    series_of(panel, technique, {.role = technique})
        .points.push_back({.x = estimate->value,
                           .y = row,
                           .interval = estimate->interval,
                           .tip = tip_of(each, *estimate, over)});
  }
  panel.rows = layout.take();
  return panel;
}

std::vector<FigurePanel> panels_of(const CountedResults& results, const std::string& heading,
                                   std::span<const Overhead> overheads) {
  std::vector<FigurePanel> panels;
  const auto mean = [](const Overhead& each) { return &each.mean; };
  const std::vector<std::string> functions = results.functions();
  if (functions.size() > 1) {
    panels.push_back(panel_of(kAllFunctions, heading, overheads, functions.size(), mean));
  }
  for (const std::string& function : functions) {
    const auto of_function = [&](const Overhead& each) -> const Estimate* {
      for (const auto& [name, estimate] : each.by_function) {
        if (name == function) return &estimate;
      }
      return nullptr;
    };
    FigurePanel panel = panel_of(function, heading, overheads, functions.size(), of_function);
    if (!panel.rows.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

FigureTable table_of(std::span<const Overhead> overheads, std::vector<std::string> axes) {
  FigureTable table;
  table.columns = axis_columns(axes);
  table.columns.push_back({"function", ""});
  append_columns(table.columns, "over plain REAP", "ratio");
  table.columns.push_back({"rounds", ""});
  for (const Overhead& each : overheads) {
    const auto add = [&](const std::string& function, const Estimate& estimate) {
      std::vector<TableValue> row = axis_values(each.cell, axes);
      row.emplace_back(function);
      append_estimate(row, estimate);
      row.emplace_back(static_cast<double>(estimate.rounds));
      table.rows.push_back(std::move(row));
    };
    if (each.by_function.size() > 1) add(kAllFunctions, each.mean);
    for (const auto& [function, estimate] : each.by_function) add(function, estimate);
  }
  return table;
}

/// "; the fastest of thaw's, ...: faster than plain REAP."
std::string extremes_sentence(std::span<const Overhead> overheads) {
  std::string sentence;
  if (const Overhead* const worst = slowest(overheads, is_study)) {
    sentence = "The slowest of the study's techniques is " + overhead_words(*worst) +
               " the time of plain REAP";
  }
  if (const Overhead* const best = fastest(overheads, is_thaws)) {
    sentence += sentence.empty() ? "The fastest" : "; the fastest";
    sentence +=
        " of thaw's is " + overhead_words(*best) + ", " + verdict_words(best->mean, "plain REAP");
  }
  if (sentence.empty()) {
    if (const Overhead* const worst = slowest(overheads, [](const Cell&) { return true; })) {
      sentence = "The slowest is " + overhead_words(*worst) + " the time of plain REAP";
    }
  }
  return sentence + ".";
}

/// The fastest technique under each heading.
std::string fastest_sentence(std::span<const Overhead> overheads, const std::string& heading) {
  std::vector<std::string> words;
  std::set<std::string> said;
  for (const Overhead& each : overheads) {
    const std::string value = axis_value(each.cell, heading);
    if (!said.insert(value).second) continue;
    std::vector<Overhead> under;
    std::ranges::copy_if(overheads, std::back_inserter(under), [&](const Overhead& other) {
      return axis_value(other.cell, heading) == value;
    });
    const Overhead* const best = fastest(under, [](const Cell&) { return true; });
    if (best == nullptr) continue;
    words.push_back(heading + " " + value + ": " + axis_value(best->cell, "technique") + ", " +
                    estimate_words(best->mean, "times"));
  }
  return "The fastest of each, over plain REAP: " + clause_words(words) + ".";
}

Figure make_overhead(const CountedResults& results, const OverheadFigure& wanted) {
  Figure figure{.id = wanted.id, .title = wanted.title, .kind = FigureKind::kRows};
  const Selection selection = select_cells(results, {wanted.heading, "technique"}, wanted.held);
  std::vector<Overhead> overheads = overheads_of(results, selection);
  std::ranges::sort(overheads, {}, [&](const Overhead& each) {
    return std::pair(heading_cell(each.cell, {wanted.heading}), each.cell);
  });
  std::set<std::string> headings;
  bool compares = false;
  for (const Overhead& each : overheads) compares = compares || !each.is_baseline();
  for (const Overhead& each : overheads) headings.insert(axis_value(each.cell, wanted.heading));
  if (!compares || headings.size() < wanted.headings_least) {
    figure.needs = wanted.needs;
    return figure;
  }
  figure.sentence = (wanted.headings_least > 1 ? fastest_sentence(overheads, wanted.heading)
                                               : extremes_sentence(overheads)) +
                    overhead_footing(overheads);
  figure.notes = {
      "A point is the ratio of the medians over all counted rounds; its line is the 95 % interval "
      "by bootstrap over rounds. It tells how far the measurements can be trusted, not how other "
      "functions would do.",
      technique_label_note(selection), selection.note};
  figure.panels = panels_of(results, wanted.heading, overheads);
  std::vector<std::string> axes{"storage", "technique", "tier"};
  if (std::ranges::find(axes, wanted.heading) == axes.end()) axes.push_back(wanted.heading);
  figure.table = table_of(overheads, axes);
  return figure;
}

}  // namespace

Figure overhead_by_storage(const CountedResults& results) {
  return make_overhead(results, {.id = "overhead",
                                 .title = "Overhead over plain REAP by technique and storage",
                                 .heading = "storage",
                                 .needs = "any cell, and " + std::string(kBaselineNeeds)});
}

Figure overhead_by_tier(const CountedResults& results) {
  return make_overhead(results,
                       {.id = "overhead_by_tier",
                        .title = "Overhead over plain REAP by where the chunks are",
                        .heading = "tier",
                        .held = {{"storage", "chunked_encrypted"}},
                        .headings_least = 2,
                        .needs = "storage=chunked_encrypted with two values of tier or more; and " +
                                 std::string(kBaselineNeeds)});
}

Figure overhead_by_input(const CountedResults& results) {
  return make_overhead(
      results,
      {.id = "overhead_by_input",
       .title = "Overhead over plain REAP with the recorded input and with another",
       .heading = "input",
       .held = {{"storage", "chunked_encrypted"}},
       .headings_least = 2,
       .needs = "input=same and input=other with storage=chunked_encrypted; and for both " +
                std::string(kBaselineNeeds)});
}

Figure overhead_of_real_guests(const CountedResults& results) {
  return make_overhead(results,
                       {.id = "overhead_of_real_guests",
                        .title = "Overhead over plain REAP of real guests in QEMU",
                        .heading = "storage",
                        .held = {{"driver", "qemu"}},
                        .needs = "driver=qemu; and with it " + std::string(kBaselineNeeds)});
}

Figure overhead_of_firecracker_guests(const CountedResults& results) {
  return make_overhead(results,
                       {.id = "overhead_of_firecracker_guests",
                        .title = "Overhead over plain REAP of real guests in Firecracker",
                        .heading = "storage",
                        .held = {{"driver", "firecracker"}},
                        .needs = "driver=firecracker; and with it " + std::string(kBaselineNeeds)});
}

}  // namespace thaw
