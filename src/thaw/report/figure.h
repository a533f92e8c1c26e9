// SPDX-License-Identifier: Apache-2.0
//
// Figure: what a chart says, as plain data: a sentence, axes, series with 95 % intervals, a table.
// Knows nothing of HTML, and of a plotting library only that it can draw rows, bars, lines and
// steps.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "thaw/lab/compare_results.h"

namespace thaw {

enum class FigureKind {
  kRows,   // a row for each cell; points by x, with intervals of x; y is the row
  kBars,   // the same rows; series are parts that stand one on the other, and marks over them
  kLines,  // points by x and y, with intervals of y, joined
  kSteps,  // a distribution: y is the share of what is at most x
};

struct FigureAxis {
  std::string title;  // with its unit
  bool logarithmic = false;
  std::optional<double> line_at;  // drawn across, and named
  std::string line_name;
};

struct FigureRow {
  std::string label;
  bool heading = false;  // of the rows below it; has no points
};

struct FigurePoint {
  double x = 0, y = 0;
  std::optional<Interval> interval;
  std::string tip;  // what hovering says; empty: the figures themselves
};

/// What a series is drawn as. A technique looks the same in every figure.
struct SeriesLook {
  std::string role;     // a technique's word, or "part1" to "part4", "mark1", "mark2"
  int dash = 0;         // tells apart lines of one technique: 0 is solid
  bool hidden = false;  // until the reader asks for it
};

struct FigureSeries {
  std::string name;
  SeriesLook look;
  std::vector<FigurePoint> points;
};

/// One view of a figure; a figure with several shows one at a time.
struct FigurePanel {
  std::string name;  // "all functions", "json"
  FigureAxis x, y;
  std::vector<FigureRow> rows;  // of kRows and kBars
  std::vector<FigureSeries> series;
};

struct TableColumn {
  std::string name;
  std::string unit;  // empty for words and counts
};
/// A word, a number, or nothing.
using TableValue = std::variant<std::monostate, std::string, double>;
struct FigureTable {
  std::vector<TableColumn> columns;
  std::vector<std::vector<TableValue>> rows;  // each as long as `columns`
};

struct Figure {
  std::string id;  // of its CSV file, and of the place in the page
  std::string title;
  FigureKind kind = FigureKind::kRows;
  /// What it shows, with its uncertainty.
  std::string sentence;
  /// What was left out, and how to read it.
  std::vector<std::string> notes;
  std::vector<FigurePanel> panels;
  FigureTable table;
  /// What goes into the CSV file, if that is more than the table.
  std::optional<FigureTable> data;
  /// Not empty: the results have not the cells for it, which are these. There is no more then.
  std::string needs;
};

inline const char* const kAllFunctions = "all functions";

}  // namespace thaw
