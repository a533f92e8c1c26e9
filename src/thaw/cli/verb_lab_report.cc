// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/bytes.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/verbs.h"
#include "thaw/report/write_report.h"

namespace thaw {

Result<void> run_lab_report(const Settings&, const LabReportRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const WrittenReport report,
                   write_report({.results = request.results,
                                 .html = request.output,
                                 .csv = request.csv,
                                 .plotting_library = request.plotting_library}));
  std::vector<JsonObject> figures, left_out;
  for (const Figure& figure : report.figures) {
    JsonObject object;
    object.set("id", figure.id).set("title", figure.title);
    if (figure.needs.empty()) {
      object.set("sentence", figure.sentence).set("csv", report.csv[figures.size()]);
      figures.push_back(std::move(object));
    } else {
      out.note("left out: " + figure.title + "; it needs " + figure.needs);
      left_out.push_back(std::move(object.set("needs", figure.needs)));
    }
  }
  out.say(report.html + ", " + human_bytes(report.html_bytes) + ": " +
          format_count(figures.size(), "figure") + "; as CSV in " +
          request.csv.value_or(request.results + "/report") + "\n");
  out.result()
      .set("html", report.html)
      .set("html_bytes", report.html_bytes)
      .set("figures", figures)
      .set("left_out", left_out);
  return {};
}

}  // namespace thaw
