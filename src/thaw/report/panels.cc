// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/panels.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

std::string tip_of(const std::string& what, const Estimate& estimate, const std::string& unit) {
  return what + ": " + estimate_words(estimate, unit) + ", " +
         count_words(estimate.rounds, "round");
}

/// The groups in the order of their headings, then of their techniques.
std::vector<const Selection::Group*> in_order(const Selection& selection,
                                              const std::vector<std::string>& headings) {
  std::vector<const Selection::Group*> groups;
  for (const Selection::Group& each : selection.groups) groups.push_back(&each);
  std::ranges::sort(groups, {}, [&](const Selection::Group* group) {
    return std::tuple(heading_cell(group->first, headings), group->first.technique, group->first);
  });
  return groups;
}

std::string row_label(const Selection& selection, const PanelView& view, const Cell& group) {
  const std::string technique = axis_value(group, "technique");
  if (!view.function.empty()) return technique;
  return technique_label(technique, selection.groups.at(group).size(),
                         selection.functions().size());
}

bool has_several_storages(const Selection& selection) {
  std::set<LabStorage> storages;
  for (const auto& [group, cells] : selection.groups) storages.insert(group.storage);
  return storages.size() > 1;
}

}  // namespace

EstimateOfCells mean_of(OfMeasurement of) {
  return [of = std::move(of)](CountedCells cells) -> std::optional<Estimate> {
    std::vector<std::vector<double>> samples;
    for (const CountedCell* each : cells) samples.push_back(each->values(of));
    if (samples.empty()) return std::nullopt;
    return mean_estimate(samples);
  };
}

EstimateOfCells overhead_of(const CountedResults& results) {
  return [&results](CountedCells cells) -> std::optional<Estimate> {
    std::vector<std::vector<double>> pairs;
    for (const CountedCell* each : cells) {
      const CountedCell* const baseline = results.baseline_of(each->cell);
      if (baseline == nullptr) continue;
      pairs.push_back(baseline->resume_ms());
      pairs.push_back(each->resume_ms());
    }
    if (pairs.empty()) return std::nullopt;
    return mean_ratio_estimate(pairs);
  };
}

std::vector<const CountedCell*> PanelView::cells_of(CountedCells group) const {
  std::vector<const CountedCell*> cells;
  for (const CountedCell* each : group) {
    if (function.empty() || each->cell.function == function) cells.push_back(each);
  }
  return cells;
}

std::vector<PanelView> panel_views(const Selection& selection) {
  const std::set<std::string> functions = selection.functions();
  std::vector<PanelView> views;
  if (functions.size() > 1) views.push_back({kAllFunctions, ""});
  for (const std::string& function : functions) views.push_back({function, function});
  return views;
}

std::vector<FigurePanel> make_panels(const Selection& selection, const LinePanels& wanted) {
  const bool says_storage = has_several_storages(selection);
  std::vector<FigurePanel> panels;
  for (const PanelView& view : panel_views(selection)) {
    FigurePanel panel{.name = view.name, .x = wanted.x, .y = wanted.y};
    for (const auto& [group, cells] : selection.groups) {
      const std::optional<Estimate> estimate = wanted.estimate(view.cells_of(cells));
      if (!estimate) continue;
      const std::string technique = axis_value(group, "technique");
      std::string name = technique;
      if (says_storage) name += " over " + axis_value(group, "storage");
      Cell look = group;
      if (!says_storage) look.storage = LabStorage::kChunkedEncrypted;
      if (group.clones == LabClones::kDifferent) name += ", different snapshots";
      series_of(panel, name, {.role = technique, .dash = dash_of(look)})
          .points.push_back({.x = wanted.x_of(group),
                             .y = estimate->value,
                             .interval = estimate->interval,
                             .tip = tip_of(name, *estimate, wanted.unit)});
    }
    for (FigureSeries& each : panel.series) {
      std::ranges::sort(each.points, {}, &FigurePoint::x);
    }
    if (!panel.series.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

std::vector<FigurePanel> make_panels(const Selection& selection, const RowPanels& wanted) {
  std::vector<FigurePanel> panels;
  for (const PanelView& view : panel_views(selection)) {
    FigurePanel panel{.name = view.name, .x = wanted.x};
    RowLayout layout;
    for (const Selection::Group* each : in_order(selection, wanted.headings)) {
      const auto& [group, cells] = *each;
      const std::optional<Estimate> estimate = wanted.estimate(view.cells_of(cells));
      if (!estimate) continue;
      const std::string technique = axis_value(group, "technique");
      const double row =
          layout.add(heading_words(group, wanted.headings), row_label(selection, view, group));
      series_of(panel, technique, {.role = technique})
          .points.push_back({.x = estimate->value,
                             .y = row,
                             .interval = estimate->interval,
                             .tip = tip_of(cell_words(group), *estimate, wanted.unit)});
    }
    panel.rows = layout.take();
    if (!panel.series.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

std::vector<FigurePanel> make_panels(const Selection& selection, const BarPanels& wanted) {
  std::vector<FigurePanel> panels;
  for (const PanelView& view : panel_views(selection)) {
    FigurePanel panel{.name = view.name, .x = wanted.x};
    for (const BarPart& part : wanted.parts) panel.series.push_back({part.name, {part.role}, {}});
    RowLayout layout;
    for (const Selection::Group* each : in_order(selection, wanted.headings)) {
      const auto& [group, cells] = *each;
      const std::vector<const CountedCell*> of_view = view.cells_of(cells);
      if (of_view.empty()) continue;
      const double row =
          layout.add(heading_words(group, wanted.headings), row_label(selection, view, group));
      for (size_t i = 0; i < wanted.parts.size(); ++i) {
        const Estimate estimate = *mean_of(wanted.parts[i].of)(of_view);
        panel.series[i].points.push_back(
            {.x = estimate.value,
             .y = row,
             .interval = estimate.interval,
             .tip = tip_of(wanted.parts[i].name, estimate, wanted.unit)});
      }
    }
    panel.rows = layout.take();
    if (!panel.rows.empty()) panels.push_back(std::move(panel));
  }
  return panels;
}

FigureTable make_table(const Selection& selection, const std::vector<std::string>& axes,
                       const std::vector<TableEstimate>& estimates) {
  FigureTable table;
  table.columns = axis_columns(axes);
  table.columns.push_back({"function", ""});
  for (const TableEstimate& each : estimates) append_columns(table.columns, each.name, each.unit);
  table.columns.push_back({"rounds", ""});
  for (const auto& [group, cells] : selection.groups) {
    for (const PanelView& view : panel_views(selection)) {
      const std::vector<const CountedCell*> of_view = view.cells_of(cells);
      if (of_view.empty()) continue;
      std::vector<TableValue> row = axis_values(group, axes);
      row.emplace_back(view.name);
      size_t rounds = SIZE_MAX;
      for (const CountedCell* each : of_view) rounds = std::min(rounds, each->rounds.size());
      for (const TableEstimate& each : estimates) {
        if (const std::optional<Estimate> estimate = each.estimate(of_view)) {
          append_estimate(row, *estimate);
        } else {
          row.resize(row.size() + 3);
        }
      }
      row.emplace_back(static_cast<double>(rounds));
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

}  // namespace thaw
