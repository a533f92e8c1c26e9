// SPDX-License-Identifier: Apache-2.0
//
// The report as one HTML file, which needs nothing else and asks no network: the run's facts, each
// figure with its chart, its sentence and its table.
#pragma once

#include <string>
#include <vector>

#include "thaw/lab/measurement.h"
#include "thaw/report/counted_results.h"
#include "thaw/report/figure.h"
#include "thaw/report/plotting_library.h"

namespace thaw {

std::string html_page(const ResultsHeader& header, const CountedResults& results,
                      const std::vector<Figure>& figures, const PlottingLibrary& library);

}  // namespace thaw
