// SPDX-License-Identifier: Apache-2.0
//
// CountedResults: a run's measurements by cell, without the warm-up; and Selection, the cells that
// a figure may compare with each other: those that agree on every axis but the figure's own.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/lab/results_file.h"

namespace thaw {

struct CountedCell {
  Cell cell;
  std::vector<const Measurement*> rounds;  // at least one

  /// One value a round.
  template <typename Of>
  std::vector<double> values(const Of& of) const {
    std::vector<double> found;
    found.reserve(rounds.size());
    for (const Measurement* each : rounds) found.push_back(static_cast<double>(of(*each)));
    return found;
  }
  /// Of each round the median over its clones.
  std::vector<double> resume_ms() const;
};

/// Whether the axis makes a difference to the cell: a plain file has no chunks, and so on.
bool has_axis(const Cell& cell, std::string_view axis);

/// Immutable. Borrows the results.
class CountedResults {
 public:
  explicit CountedResults(const Results& results);

  const std::vector<CountedCell>& cells() const { return cells_; }
  /// Null if it was not measured.
  const CountedCell* find(const Cell& cell) const;
  /// REAP over a plain file, with the cell's function, input, parallelism and driver.
  const CountedCell* baseline_of(const Cell& cell) const;
  std::vector<std::string> functions() const;
  /// The values of an axis among the cells that have it, in the axis' order.
  std::vector<std::string> values_of(std::string_view axis) const;
  size_t measurements() const { return measurements_; }
  size_t warm_up() const { return warm_up_; }
  /// Of the cell that has the fewest.
  size_t rounds_min() const;

 private:
  std::vector<CountedCell> cells_;  // by cell
  size_t measurements_ = 0, warm_up_ = 0;
};

/// An axis and the value that it is held at.
using HeldAxes = std::map<std::string, std::string, std::less<>>;

struct Selection {
  /// Cells that differ in their function only, by the cell without it.
  using Groups = std::map<Cell, std::vector<const CountedCell*>>;
  using Group = Groups::value_type;
  Groups groups;
  /// "Held: tier=local, parallel=1." of the axes that have other values elsewhere in the results.
  std::string note;

  bool empty() const { return groups.empty(); }
  /// Of the cell that has the fewest; 0 if there is none.
  size_t rounds_min() const;
  std::set<std::string> functions() const;
};

/// The cells that differ in nothing but the function and the axes `free`. Every other axis is held
/// at `held`, or at its default, or, where no cell has the default, at its first value.
Selection select_cells(const CountedResults& results, const std::vector<std::string>& free,
                       const HeldAxes& held = {});

/// Leaves what makes a line along `axis`: of cells that differ in that axis only those that have
/// two values of it or more, and of those the functions that all of them have.
void keep_lines(Selection& selection, std::string_view axis);

/// "study_reap over plain", and the tier, where it is not the local disk.
std::string cell_words(const Cell& cell);

}  // namespace thaw
