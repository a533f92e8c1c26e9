// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/counted_results.h"

#include <algorithm>
#include <set>

#include "thaw/base/check.h"
#include "thaw/lab/compare_results.h"

namespace thaw {
namespace {

bool is_file(const Cell& cell) {
  return cell.storage == LabStorage::kPlain || cell.storage == LabStorage::kEncrypted;
}

/// The same cell for the same key(): an axis that is of no matter has its default.
Cell normalised(Cell cell) {
  if (is_file(cell)) cell.chunk_bytes = Cell{}.chunk_bytes;
  return cell;
}

/// By the axis' own words, or by number.
bool comes_before(const LabAxis& axis, const std::string& a, const std::string& b) {
  if (axis.words.empty()) return std::pair(a.size(), a) < std::pair(b.size(), b);
  return std::ranges::find(axis.words, a) < std::ranges::find(axis.words, b);
}

}  // namespace

std::vector<double> CountedCell::resume_ms() const {
  return values([](const Measurement& each) { return median_of(each.resume_ms); });
}

bool has_axis(const Cell& cell, std::string_view axis) {
  if (axis == "chunk_bytes" || axis == "tier") return !is_file(cell);
  if (axis == "without" || axis == "frontend") return is_ours(cell.technique);
  return true;
}

CountedResults::CountedResults(const Results& results) {
  std::map<Cell, CountedCell> by_cell;
  for (const Measurement& each : results.measurements) {
    if (each.warm_up) {
      ++warm_up_;
      continue;
    }
    ++measurements_;
    const Cell cell = normalised(each.cell);
    CountedCell& counted = by_cell[cell];
    counted.cell = cell;
    counted.rounds.push_back(&each);
  }
  for (auto& [cell, counted] : by_cell) cells_.push_back(std::move(counted));
}

const CountedCell* CountedResults::find(const Cell& cell) const {
  const auto found = std::ranges::lower_bound(cells_, normalised(cell), {}, &CountedCell::cell);
  return found != cells_.end() && found->cell == normalised(cell) ? &*found : nullptr;
}

const CountedCell* CountedResults::baseline_of(const Cell& cell) const {
  Cell baseline;
  baseline.function = cell.function;
  baseline.input = cell.input;
  baseline.parallel = cell.parallel;
  baseline.driver = cell.driver;
  return find(baseline);
}

std::vector<std::string> CountedResults::functions() const { return values_of("function"); }

std::vector<std::string> CountedResults::values_of(std::string_view axis) const {
  const auto known = std::ranges::find(lab_axes(), axis, &LabAxis::name);
  CHECK(known != lab_axes().end());
  std::set<std::string> found;
  for (const CountedCell& each : cells_) {
    if (has_axis(each.cell, axis)) found.insert(axis_value(each.cell, axis));
  }
  std::vector<std::string> values(found.begin(), found.end());
  if (axis != "function") {
    std::ranges::sort(values, [&](const std::string& a, const std::string& b) {
      return comes_before(*known, a, b);
    });
  }
  return values;
}

size_t CountedResults::rounds_min() const {
  size_t least = SIZE_MAX;
  for (const CountedCell& each : cells_) least = std::min(least, each.rounds.size());
  return cells_.empty() ? 0 : least;
}

size_t Selection::rounds_min() const {
  size_t least = SIZE_MAX;
  for (const auto& [group, cells] : groups) {
    for (const CountedCell* each : cells) least = std::min(least, each->rounds.size());
  }
  return groups.empty() ? 0 : least;
}

std::set<std::string> Selection::functions() const {
  std::set<std::string> functions;
  for (const auto& [group, cells] : groups) {
    for (const CountedCell* each : cells) functions.insert(each->cell.function);
  }
  return functions;
}

Selection select_cells(const CountedResults& results, const std::vector<std::string>& free,
                       const HeldAxes& held) {
  Selection selection;
  HeldAxes wanted = held;
  std::string varied;
  for (const LabAxis& axis : lab_axes()) {
    if (axis.name == "function" || std::ranges::find(free, axis.name) != free.end()) continue;
    const std::vector<std::string> values = results.values_of(axis.name);
    if (!wanted.contains(axis.name)) {
      const std::string usual = axis_value(Cell{}, axis.name);
      const bool has_usual = values.empty() || std::ranges::find(values, usual) != values.end();
      wanted[axis.name] = has_usual ? usual : values.front();
    }
    if (values.size() > 1) {
      varied += (varied.empty() ? "" : ", ") + axis.name + "=" + wanted[axis.name];
    }
  }
  if (!varied.empty()) {
    selection.note =
        "Like with like: of all cells those with " + varied + ", where that makes a difference.";
  }
  for (const CountedCell& each : results.cells()) {
    const bool matches = std::ranges::all_of(wanted, [&](const auto& axis) {
      return !has_axis(each.cell, axis.first) || axis_value(each.cell, axis.first) == axis.second;
    });
    if (!matches) continue;
    Cell group = each.cell;
    group.function.clear();
    selection.groups[group].push_back(&each);
  }
  return selection;
}

void keep_lines(Selection& selection, std::string_view axis) {
  const std::string usual = axis_value(Cell{}, axis);
  const auto line_of = [&](Cell cell) {
    CHECK(set_axis(cell, axis, usual));
    return cell;
  };
  struct Line {
    size_t groups = 0;
    std::map<std::string, size_t> functions;  // how many groups have each
  };
  std::map<Cell, Line> lines;
  for (const auto& [group, cells] : selection.groups) {
    Line& line = lines[line_of(group)];
    ++line.groups;
    for (const CountedCell* each : cells) ++line.functions[each->cell.function];
  }
  for (auto& [group, cells] : selection.groups) {
    const Line& line = lines[line_of(group)];
    std::erase_if(cells, [&](const CountedCell* each) {
      return line.groups < 2 || line.functions.at(each->cell.function) < line.groups;
    });
  }
  std::erase_if(selection.groups, [](const auto& group) { return group.second.empty(); });
}

std::string cell_words(const Cell& cell) {
  std::string words = axis_value(cell, "technique") + " over " + axis_value(cell, "storage");
  if (cell.tier != LabTier::kLocal) words += ", tier " + axis_value(cell, "tier");
  if (cell.clones == LabClones::kDifferent) words += ", different snapshots";
  return words;
}

}  // namespace thaw
