// SPDX-License-Identifier: Apache-2.0
//
// Scenario: what `thaw lab run` measures, read from a TOML file:
//
//   about = "REAP on a plain file against a hot layout"
//   seed = 1
//   repetitions = 5      # that count
//   warm_up = 1          # rounds before them, which are measured and marked
//
//   [[matrix]]           # every combination of the values; several matrices are joined
//   storage = ["plain"]
//   technique = ["study_reap"]
//   function = ["json", "html"]
//
// An axis that a matrix does not name has its default (lab/cell.h). It is parsed as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/lab/cell.h"

namespace thaw {

inline constexpr uint64_t kScenarioBytesMax = uint64_t{1} << 20;
/// Of all matrices, with those that are left out.
inline constexpr size_t kScenarioCellsMax = 1'000'000;

struct ExcludedCell {
  Cell cell;
  std::string why;
};

struct Scenario {
  std::string about;
  uint64_t seed = 1;
  uint64_t repetitions = 5;
  uint64_t warm_up = 1;
  std::vector<Cell> cells;  // each once, in the order of the file
  std::vector<ExcludedCell> excluded;

  /// Of the cells' and the other figures: the same for the same measurements, whatever the file
  /// looks like. Hexadecimal.
  std::string digest() const;
};

/// kInvalid, with `source` and what is wrong, for no TOML, a key or an axis that is not known, an
/// empty matrix; kExhausted above kScenarioCellsMax.
Result<Scenario> parse_scenario(std::string_view text, const std::string& source);
Result<Scenario> read_scenario(const std::string& path);

}  // namespace thaw
