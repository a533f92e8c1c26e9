// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/html_page.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "thaw/base/bytes.h"
#include "thaw/report/page_escape.h"
#include "thaw/report/page_text.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

using Json = nlohmann::ordered_json;

// The page asks nobody for anything, and a browser holds it to that.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";

std::string element(std::string_view name, std::string_view text) {
  return "<" + std::string(name) + ">" + escape_html(text) + "</" + std::string(name) + ">\n";
}

// ---- What the charts are drawn from

/// Infinite is null there, and not drawn.
Json point_json(const FigurePoint& point) {
  Json json{point.x, point.y};
  if (!point.interval && point.tip.empty()) return json;
  json.push_back(point.interval ? Json(point.interval->low) : Json());
  json.push_back(point.interval ? Json(point.interval->high) : Json());
  json.push_back(point.tip);
  return json;
}

Json axis_json(const FigureAxis& axis) {
  Json json{{"title", axis.title}, {"logarithmic", axis.logarithmic}};
  if (axis.line_at) {
    json["line_at"] = *axis.line_at;
    json["line_name"] = axis.line_name;
  }
  return json;
}

Json panel_json(const FigurePanel& panel) {
  Json json{{"name", panel.name}, {"x", axis_json(panel.x)}, {"y", axis_json(panel.y)}};
  json["rows"] = Json::array();
  for (const FigureRow& row : panel.rows) {
    json["rows"].push_back({{"label", row.label}, {"heading", row.heading}});
  }
  json["series"] = Json::array();
  for (const FigureSeries& series : panel.series) {
    Json points = Json::array();
    for (const FigurePoint& point : series.points) points.push_back(point_json(point));
    json["series"].push_back({{"name", series.name},
                              {"role", series.look.role},
                              {"dash", series.look.dash},
                              {"hidden", series.look.hidden},
                              {"points", std::move(points)}});
  }
  return json;
}

const char* kind_word(FigureKind kind) {
  switch (kind) {
    case FigureKind::kRows:
      return "rows";
    case FigureKind::kBars:
      return "bars";
    case FigureKind::kLines:
      return "lines";
    case FigureKind::kSteps:
      return "steps";
  }
  return "";
}

std::string charts_json(const std::vector<Figure>& figures) {
  Json json = Json::array();
  for (const Figure& figure : figures) {
    if (!figure.needs.empty()) continue;
    Json panels = Json::array();
    for (const FigurePanel& panel : figure.panels) panels.push_back(panel_json(panel));
    json.push_back({{"id", figure.id}, {"kind", kind_word(figure.kind)}, {"panels", panels}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// ---- What is read without them

std::string table_html(const Figure& figure) {
  std::string html =
      "<details class=\"table\"><summary>Table, " + count_words(figure.table.rows.size(), "row") +
      "</summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" +
      escape_html("Table: " + figure.title) + "\"><table>\n<thead><tr>";
  for (const TableColumn& column : figure.table.columns) {
    html += "<th scope=\"col\">" +
            escape_html(column.name + (column.unit.empty() ? "" : ", " + column.unit)) + "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const std::vector<TableValue>& row : figure.table.rows) {
    html += "<tr>";
    for (const TableValue& value : row) {
      if (const auto* word = std::get_if<std::string>(&value)) {
        html += "<td>" + escape_html(*word) + "</td>";
      } else if (const auto* number = std::get_if<double>(&value)) {
        html += "<td class=\"number\">" + number_words(*number) + "</td>";
      } else {
        html += "<td></td>";
      }
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div></details>\n";
}

std::string figure_html(const Figure& figure, size_t number) {
  const std::string id = escape_html(figure.id);
  std::string html = "<section id=\"" + id + "\">\n";
  html += element("h2", std::to_string(number) + ". " + figure.title);
  html +=
      "<figure>\n<div class=\"controls\"></div>\n<div class=\"chart\"><canvas role=\"img\" "
      "aria-label=\"" +
      escape_html(figure.title + ". " + figure.sentence) +
      "\"></canvas></div>\n<div class=\"legend\"></div>\n";
  html += element("figcaption", figure.sentence) + "</figure>\n";
  html += "<div class=\"notes\">\n";
  for (const std::string& note : figure.notes) html += element("p", note);
  return html + "</div>\n" + table_html(figure) + "</section>\n";
}

std::string facts_html(const ResultsHeader& header, const CountedResults& results,
                       const PlottingLibrary& library) {
  std::vector<std::pair<std::string, std::string>> facts{
      {"Scenario", header.scenario},
      {"Seed", std::to_string(header.seed)},
      {"Started", header.started},
      {"Measurements", count_words(results.measurements(), "counted measurement") + " of " +
                           count_words(results.cells().size(), "cell") + ", " +
                           count_words(header.repetitions, "repetition") + " wanted, " +
                           count_words(results.rounds_min(), "repetition") + " had by every cell"},
      {"Warm-up", header.warm_up == 0
                      ? "none was asked for"
                      : count_words(header.warm_up, "round") + " before those that count; " +
                            count_words(results.warm_up(), "measurement") +
                            ", which are in results.jsonl, marked, and in no figure"},
      {"Functions", list_words(results.functions())},
      {"thaw", header.thaw_version + (header.commit.empty() ? "" : ", commit " + header.commit)},
      {"Machine", header.cpu + ", " + count_words(header.cores, "core") + ", " +
                      human_bytes(header.memory_bytes)},
      {"Kernel", header.kernel},
      {"With", list_words(header.versions)},
      {"Scenario's digest", header.digest},
      {"Drawn by", library.version + " (MIT)"}};
  std::string html = "<dl>\n";
  for (const auto& [name, value] : facts) {
    if (value.empty()) continue;
    html += "<div>" + element("dt", name) + element("dd", value) + "</div>\n";
  }
  return html + "</dl>\n";
}

std::string left_out_html(const std::vector<Figure>& figures) {
  std::string html;
  for (const Figure& figure : figures) {
    if (figure.needs.empty()) continue;
    html += "<li><b>" + escape_html(figure.title) + "</b> needs " + escape_html(figure.needs) +
            ".</li>\n";
  }
  if (html.empty()) return "";
  return "<section id=\"left_out\">\n<h2>Left out</h2>\n<p>These results have not the cells "
         "for:</p>\n<ul>\n" +
         html + "</ul>\n</section>\n";
}

std::string contents_html(const std::vector<Figure>& figures) {
  std::string html = "<nav aria-label=\"Figures\"><ol>\n";
  for (const Figure& figure : figures) {
    if (!figure.needs.empty()) continue;
    html += "<li><a href=\"#" + escape_html(figure.id) + "\">" + escape_html(figure.title) +
            "</a></li>\n";
  }
  return html + "</ol></nav>\n";
}

}  // namespace

std::string html_page(const ResultsHeader& header, const CountedResults& results,
                      const std::vector<Figure>& figures, const PlottingLibrary& library) {
  const std::string title = header.about.empty() ? header.scenario : header.about;
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
      escape_html(kPolicy) +
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n";
  html += element("title", "thaw lab: " + title);
  html += "<style>" + std::string(kPageStyle) + "</style>\n</head>\n<body>\n<header>\n";
  html += "<p class=\"kind\">thaw lab report</p>\n" + element("h1", title);
  html += facts_html(header, results, library) + "</header>\n" + contents_html(figures) +
          "<noscript><p>Without scripts there are no charts; the tables have all that they "
          "show.</p></noscript>\n<main>\n";
  size_t number = 0;
  for (const Figure& figure : figures) {
    if (figure.needs.empty()) html += figure_html(figure, ++number);
  }
  html += left_out_html(figures) + "</main>\n";
  html += "<script>" + library.script + "</script>\n";
  html += "<script type=\"application/json\" id=\"charts\">" + escape_json(charts_json(figures)) +
          "</script>\n";
  return html + "<script>" + escape_script(kPageScript) + "</script>\n</body>\n</html>\n";
}

}  // namespace thaw
