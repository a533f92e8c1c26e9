// SPDX-License-Identifier: Apache-2.0
//
// Panels of a selection: one for all functions, where there are several, and one for each; as
// lines, as points in rows, or as bars of parts. And the table that has the same estimates.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "thaw/report/counted_results.h"
#include "thaw/report/estimate.h"
#include "thaw/report/figure.h"

namespace thaw {

using CountedCells = std::span<const CountedCell* const>;
/// Of cells that differ in their function only; nothing if it cannot be told of these.
using EstimateOfCells = std::function<std::optional<Estimate>(CountedCells cells)>;

/// A figure of rounds: what is estimated of a measurement.
using OfMeasurement = std::function<double(const Measurement& measurement)>;
/// The mean over functions of medians over rounds.
EstimateOfCells mean_of(OfMeasurement of);
/// The geometric mean over functions of resume time over plain REAP's.
EstimateOfCells overhead_of(const CountedResults& results);

/// What one panel shows: a name and a group's cells that belong to it, which may be none.
struct PanelView {
  std::string name;
  std::string function;  // empty: all
  std::vector<const CountedCell*> cells_of(CountedCells group) const;
};
std::vector<PanelView> panel_views(const Selection& selection);

struct LinePanels {
  FigureAxis x, y;
  std::function<double(const Cell& cell)> x_of;
  EstimateOfCells estimate;
  std::string unit;  // of y, in tips
};
/// A line for each technique and storage, and one more for clones of different snapshots.
std::vector<FigurePanel> make_panels(const Selection& selection, const LinePanels& wanted);

struct RowPanels {
  FigureAxis x;
  std::vector<std::string> headings;  // axes
  EstimateOfCells estimate;
  std::string unit;  // of x, in tips
};
/// A row for each technique, under a heading for each combination of the heading axes.
std::vector<FigurePanel> make_panels(const Selection& selection, const RowPanels& wanted);

struct BarPart {
  std::string name;
  std::string role;  // SeriesLook::role
  OfMeasurement of;
};
struct BarPanels {
  FigureAxis x;
  std::vector<std::string> headings;
  std::vector<BarPart> parts;  // first those that stand one on the other, then marks
  std::string unit;
};
std::vector<FigurePanel> make_panels(const Selection& selection, const BarPanels& wanted);

struct TableEstimate {
  std::string name, unit;
  EstimateOfCells estimate;
};
/// A row for each cell and for all functions of it together.
FigureTable make_table(const Selection& selection, const std::vector<std::string>& axes,
                       const std::vector<TableEstimate>& estimates);

}  // namespace thaw
