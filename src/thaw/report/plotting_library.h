// SPDX-License-Identifier: Apache-2.0
//
// The plotting library that a report carries: Chart.js, version 3 or 4, as Debian's package
// libjs-chart.js installs it. It is read when a report is made; neither the repository nor the
// program holds it.
#pragma once

#include <optional>
#include <string>

#include "thaw/base/result.h"

namespace thaw {

struct PlottingLibrary {
  std::string path;
  std::string version;  // "Chart.js 3.9.1"
  std::string script;   // safe between <script> and </script>
};

/// From `path`, or from where it is installed. kNotFound names the package; kUnsupported for a file
/// that is no Chart.js of these versions.
Result<PlottingLibrary> read_plotting_library(const std::optional<std::string>& path);

}  // namespace thaw
