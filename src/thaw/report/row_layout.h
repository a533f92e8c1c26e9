// SPDX-License-Identifier: Apache-2.0
//
// RowLayout: rows under headings, as figures with a row for each cell have them; and what the
// tables of all figures have in common.
#pragma once

#include <string>
#include <vector>

#include "thaw/report/counted_results.h"
#include "thaw/report/estimate.h"
#include "thaw/report/figure.h"

namespace thaw {

class RowLayout {
 public:
  /// The y of a row under `heading`, which is put before it where it is new. Rows of one heading
  /// come one after the other. An empty heading is none.
  double add(const std::string& heading, const std::string& label);
  std::vector<FigureRow> take() { return std::move(rows_); }

 private:
  std::vector<FigureRow> rows_;
  std::string heading_;
};

/// The cell with its values on these axes and the defaults on all others: what sorts headings.
Cell heading_cell(const Cell& cell, const std::vector<std::string>& axes);
/// "chunked_encrypted, tier local", "plain, 8 at once"; without the axes that are of no matter.
std::string heading_words(const Cell& cell, const std::vector<std::string>& axes);

/// "hot"; "hot (2/3)" where a row for all functions has so many of them only.
std::string technique_label(const std::string& technique, size_t functions, size_t of_functions);
/// What such a label means; empty if no group has one.
std::string technique_label_note(const Selection& selection);

/// Solid for what thaw has, encrypted chunks; a plain file is dotted. Clones of different snapshots
/// have dashes of their own.
int dash_of(const Cell& cell);

/// The series with this name, made at the end if it is new.
FigureSeries& series_of(FigurePanel& panel, const std::string& name, const SeriesLook& look);

/// The columns of axes, and a cell's values there; empty where an axis is of no matter to the cell.
std::vector<TableColumn> axis_columns(const std::vector<std::string>& axes);
std::vector<TableValue> axis_values(const Cell& cell, const std::vector<std::string>& axes);

/// The columns of an estimate, and its values.
void append_columns(std::vector<TableColumn>& columns, const std::string& name,
                    const std::string& unit);
void append_estimate(std::vector<TableValue>& row, const Estimate& estimate);

}  // namespace thaw
