// SPDX-License-Identifier: Apache-2.0
//
// Results for the tests of figures, made cell by cell.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/lab/results_file.h"

namespace thaw {

using AxisWords = std::initializer_list<std::pair<const char*, const char*>>;

inline Cell cell_of(AxisWords axes) {
  Cell cell;
  for (const auto& [axis, value] : axes) CHECK(set_axis(cell, axis, value));
  return cell;
}

class MadeResults {
 public:
  /// One round for each of `ms`; yields the last, for what else it has.
  Measurement& add(AxisWords axes, const std::vector<double>& ms) {
    for (size_t round = 0; round < ms.size(); ++round) {
      Measurement each;
      each.cell = cell_of(axes);
      each.repetition = round;
      each.resume_ms = {ms[round]};
      results.measurements.push_back(each);
    }
    return results.measurements.back();
  }

  Results results;
};

}  // namespace thaw
