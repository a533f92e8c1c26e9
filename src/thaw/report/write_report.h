// SPDX-License-Identifier: Apache-2.0
//
// write_report: a run's results as an HTML file and a CSV file for each figure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/report/figure.h"

namespace thaw {

struct ReportOptions {
  std::string results;              // the directory of results.jsonl
  std::optional<std::string> html;  // the file; none: report.html in there
  std::optional<std::string> csv;   // the directory; none: report/ in there
  std::optional<std::string> plotting_library;
};

struct WrittenReport {
  std::string html;
  uint64_t html_bytes = 0;
  std::vector<Figure> figures;   // with those that were left out
  std::vector<std::string> csv;  // of each that was not, its file
};

/// Each file as one step, durable on return: a reader, a full disk or a crash sees the old one or
/// the new one. CSV files of figures that are left out now are removed. kInvalid if nothing in the
/// results counts; besides the errors of read_results() and read_plotting_library().
Result<WrittenReport> write_report(const ReportOptions& options);

}  // namespace thaw
