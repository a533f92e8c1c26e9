// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/row_layout.h"

#include <algorithm>

#include "thaw/base/check.h"

namespace thaw {

double RowLayout::add(const std::string& heading, const std::string& label) {
  if (heading != heading_) {
    heading_ = heading;
    if (!heading.empty()) rows_.push_back({heading, true});
  }
  rows_.push_back({label, false});
  return static_cast<double>(rows_.size() - 1);
}

Cell heading_cell(const Cell& cell, const std::vector<std::string>& axes) {
  Cell heading;
  for (const std::string& axis : axes) {
    if (has_axis(cell, axis)) CHECK(set_axis(heading, axis, axis_value(cell, axis)));
  }
  return heading;
}

std::string heading_words(const Cell& cell, const std::vector<std::string>& axes) {
  std::string words;
  for (const std::string& axis : axes) {
    if (!has_axis(cell, axis)) continue;
    const std::string value = axis_value(cell, axis);
    words += words.empty() ? "" : ", ";
    words += axis == "storage"    ? value
             : axis == "parallel" ? value + " at once"
                                  : axis + " " + value;
  }
  return words;
}

std::string technique_label(const std::string& technique, size_t functions, size_t of_functions) {
  if (functions == of_functions) return technique;
  return technique + " (" + std::to_string(functions) + "/" + std::to_string(of_functions) + ")";
}

std::string technique_label_note(const Selection& selection) {
  const size_t all = selection.functions().size();
  const bool labelled = std::ranges::any_of(
      selection.groups, [&](const auto& group) { return group.second.size() < all; });
  if (!labelled) return "";
  return "A fraction behind a name: of so many of the functions only; compare it with care.";
}

int dash_of(const Cell& cell) {
  const bool encrypted_chunks = cell.storage == LabStorage::kChunkedEncrypted;
  const int dash = encrypted_chunks ? 0 : static_cast<int>(cell.storage) + 1;
  constexpr int kStorages = 4;
  return dash + (cell.clones == LabClones::kDifferent ? kStorages : 0);
}

FigureSeries& series_of(FigurePanel& panel, const std::string& name, const SeriesLook& look) {
  const auto found = std::ranges::find(panel.series, name, &FigureSeries::name);
  if (found != panel.series.end()) return *found;
  panel.series.push_back({name, look, {}});
  return panel.series.back();
}

std::vector<TableColumn> axis_columns(const std::vector<std::string>& axes) {
  std::vector<TableColumn> columns;
  for (const std::string& axis : axes) columns.push_back({axis, ""});
  return columns;
}

std::vector<TableValue> axis_values(const Cell& cell, const std::vector<std::string>& axes) {
  std::vector<TableValue> values;
  for (const std::string& axis : axes) {
    const LabAxis* const known = &*std::ranges::find(lab_axes(), axis, &LabAxis::name);
    if (!has_axis(cell, axis)) {
      values.emplace_back();
    } else if (axis == "function" || !known->words.empty()) {
      values.emplace_back(axis_value(cell, axis));
    } else {
      values.emplace_back(
          static_cast<double>(axis == "parallel" ? cell.parallel : cell.chunk_bytes));
    }
  }
  return values;
}

void append_columns(std::vector<TableColumn>& columns, const std::string& name,
                    const std::string& unit) {
  columns.push_back({name, unit});
  columns.push_back({name + " low 95 %", unit});
  columns.push_back({name + " high 95 %", unit});
}

void append_estimate(std::vector<TableValue>& row, const Estimate& estimate) {
  row.emplace_back(estimate.value);
  if (estimate.interval) {
    row.emplace_back(estimate.interval->low);
    row.emplace_back(estimate.interval->high);
  } else {
    row.resize(row.size() + 2);
  }
}

}  // namespace thaw
