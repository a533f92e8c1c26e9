// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/plotting_library.h"

#include <unistd.h>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"
#include "thaw/report/page_escape.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint64_t kLibraryBytesMax = 16 * kMiB;
constexpr const char* kInstalled[] = {"/usr/share/javascript/chart.js/chart.min.js",
                                      "/usr/share/nodejs/chart.js/dist/chart.min.js"};
constexpr char kWhatToDo[] =
    "; install the Debian package libjs-chart.js, or name the file with --plotting-library";

/// "3.9.1" of the comment that the library begins with; empty if it is another file.
std::string version_of(std::string_view script) {
  constexpr std::string_view kBanner = "Chart.js v";
  const std::string_view beginning = script.substr(0, 1000);
  const size_t at = beginning.find(kBanner);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = beginning.substr(at + kBanner.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789.")));
}

}  // namespace

Result<PlottingLibrary> read_plotting_library(const std::optional<std::string>& path) {
  PlottingLibrary library;
  if (path) {
    library.path = *path;
  } else {
    for (const char* installed : kInstalled) {
      if (library.path.empty() && ::access(installed, R_OK) == 0) library.path = installed;
    }
    if (library.path.empty()) {
      return fail(ErrorCode::kNotFound, "the plotting library Chart.js is not at " +
                                            std::string(kInstalled[0]) + kWhatToDo);
    }
  }
  Result<Bytes> bytes = read_file(library.path, kLibraryBytesMax);
  if (!bytes) {
    return fail(bytes.error().code, "the plotting library: " + bytes.error().message + kWhatToDo);
  }
  const std::string_view script = as_text(*bytes);
  const std::string version = version_of(script);
  if (!version.starts_with("3.") && !version.starts_with("4.")) {
    return fail(ErrorCode::kUnsupported,
                library.path + (version.empty() ? " is not Chart.js" : " is Chart.js " + version) +
                    "; the report needs version 3 or 4" + kWhatToDo);
  }
  library.version = "Chart.js " + version;
  library.script = escape_script(script);
  return library;
}

}  // namespace thaw
