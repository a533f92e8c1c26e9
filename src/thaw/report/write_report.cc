// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/write_report.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/lab/results_file.h"
#include "thaw/report/csv_text.h"
#include "thaw/report/figures.h"
#include "thaw/report/html_page.h"
#include "thaw/report/plotting_library.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr unsigned kFileMode = 0644;
constexpr unsigned kDirectoryMode = 0755;

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("cannot remove " + path + ", which is of an older report", errno);
}

}  // namespace

Result<WrittenReport> write_report(const ReportOptions& options) {
  ASSIGN_OR_RETURN(const PlottingLibrary library, read_plotting_library(options.plotting_library));
  ASSIGN_OR_RETURN(const Results results, read_results(options.results));
  const CountedResults counted(results);
  if (counted.cells().empty()) {
    return fail(ErrorCode::kInvalid,
                options.results + " holds " +
                    (counted.warm_up() > 0 ? "warm-up rounds only" : "no measurement") +
                    "; let `thaw lab run` go on");
  }
  WrittenReport written;
  written.figures = make_figures(counted);

  const std::string csv = options.csv.value_or(options.results + "/report");
  TRY(make_directories(csv, kDirectoryMode));
  for (const Figure& figure : written.figures) {
    const std::string path = csv + "/" + figure.id + ".csv";
    if (!figure.needs.empty()) {
      TRY(remove_file(path));
      continue;
    }
    TRY(replace_file(path, as_bytes(csv_text(figure.data ? *figure.data : figure.table)),
                     kFileMode));
    written.csv.push_back(path);
  }

  written.html = options.html.value_or(options.results + "/report.html");
  const std::string parent = std::filesystem::path(written.html).parent_path().string();
  if (!parent.empty()) TRY(make_directories(parent, kDirectoryMode));
  const std::string page = html_page(results.header, counted, written.figures, library);
  TRY(replace_file(written.html, as_bytes(page), kFileMode));
  written.html_bytes = page.size();
  return written;
}

}  // namespace thaw
