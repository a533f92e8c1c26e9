// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "thaw/base/check.h"
#include "thaw/report/figures.h"
#include "thaw/report/panels.h"
#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

/// Axes whose other values are the same resume in another way.
constexpr const char* kVariedAxes[] = {"without", "frontend", "snapshot", "clones"};
/// What else may differ between variants, for the heading.
constexpr const char* kOtherAxes[] = {"chunk_bytes", "input",    "parallel", "without",
                                      "frontend",    "snapshot", "clones",   "driver"};

/// A cell with one axis changed, and the same cell as it is, with one function after the other.
struct Variant {
  Cell usual;  // its function is empty
  std::string axis, value;
  std::vector<std::pair<std::string, Estimate>> by_function;
  Estimate mean;

  std::string label() const { return axis == "without" ? "without " + value : axis + "=" + value; }
  std::string heading() const {
    std::string words = cell_words(usual);
    for (const char* other : kOtherAxes) {
      if (!has_axis(usual, other) || axis_value(usual, other) == axis_value(Cell{}, other))
        continue;
      words += ", " + std::string(other) + "=" + axis_value(usual, other);
    }
    return words;
  }
};

std::vector<Variant> variants_of(const CountedResults& results) {
  // By the usual cell, then by axis and value.
  std::map<std::tuple<Cell, std::string, std::string>,
           std::vector<std::pair<const CountedCell*, const CountedCell*>>>
      found;
  for (const CountedCell& each : results.cells()) {
    for (const char* axis : kVariedAxes) {
      const std::string value = axis_value(each.cell, axis);
      const std::string usual_value = axis_value(Cell{}, axis);
      if (value == usual_value) continue;
      Cell usual = each.cell;
      CHECK(set_axis(usual, axis, usual_value));
      const CountedCell* const twin = results.find(usual);
      if (twin == nullptr) continue;
      usual.function.clear();
      found[{usual, axis, value}].emplace_back(twin, &each);
    }
  }
  std::vector<Variant> variants;
  for (const auto& [key, twins] : found) {
    Variant variant{std::get<0>(key), std::get<1>(key), std::get<2>(key), {}, {}};
    std::vector<std::vector<double>> pairs;
    for (const auto& [usual, changed] : twins) {
      pairs.push_back(usual->resume_ms());
      pairs.push_back(changed->resume_ms());
      variant.by_function.emplace_back(changed->cell.function,
                                       ratio_estimate(pairs[pairs.size() - 2], pairs.back()));
    }
    variant.mean = mean_ratio_estimate(pairs);
    variants.push_back(std::move(variant));
  }
  return variants;
}

FigurePanel panel_of(const std::string& function, const std::vector<Variant>& variants) {
  FigurePanel panel{.name = function,
                    .x = {.title = "resume time over that without the change (ratio)",
                          .logarithmic = true,
                          .line_at = 1,
                          .line_name = "as it is"}};
  RowLayout layout;
  for (const Variant& each : variants) {
    const Estimate* estimate = function == kAllFunctions ? &each.mean : nullptr;
    for (const auto& [name, of] : each.by_function) {
      if (name == function) estimate = &of;
    }
    if (estimate == nullptr) continue;
    const std::string technique = axis_value(each.usual, "technique");
    series_of(panel, technique, {.role = technique})
        .points.push_back({.x = estimate->value,
                           .y = layout.add(each.heading(), each.label()),
                           .interval = estimate->interval,
                           .tip = each.label() + ": " + estimate_words(*estimate, "times") + ", " +
                                  count_words(estimate->rounds, "round")});
  }
  panel.rows = layout.take();
  return panel;
}

FigureTable table_of(const std::vector<Variant>& variants) {
  const std::vector<std::string> axes{"storage",  "technique", "tier",  "chunk_bytes",
                                      "parallel", "input",     "driver"};
  FigureTable table;
  table.columns = axis_columns(axes);
  table.columns.push_back({"change", ""});
  table.columns.push_back({"function", ""});
  append_columns(table.columns, "over unchanged", "ratio");
  table.columns.push_back({"rounds", ""});
  for (const Variant& each : variants) {
    const auto add = [&](const std::string& function, const Estimate& estimate) {
      std::vector<TableValue> row = axis_values(each.usual, axes);
      row.emplace_back(each.label());
      row.emplace_back(function);
      append_estimate(row, estimate);
      row.emplace_back(static_cast<double>(estimate.rounds));
      table.rows.push_back(std::move(row));
    };
    if (each.by_function.size() > 1) add(kAllFunctions, each.mean);
    for (const auto& [function, estimate] : each.by_function) add(function, estimate);
  }
  return table;
}

}  // namespace

Figure ratio_of_variants(const CountedResults& results) {
  Figure figure{.id = "ratio_of_variants",
                .title = "One thing changed: what each part of thaw is worth",
                .kind = FigureKind::kRows};
  const std::vector<Variant> variants = variants_of(results);
  if (variants.empty()) {
    figure.needs =
        "cells with another value of without, frontend, snapshot or clones, and the same cells "
        "with "
        "its default";
    return figure;
  }
  const auto functions = results.functions();
  if (functions.size() > 1) figure.panels.push_back(panel_of(kAllFunctions, variants));
  for (const std::string& function : functions) {
    FigurePanel panel = panel_of(function, variants);
    if (!panel.rows.empty()) figure.panels.push_back(std::move(panel));
  }
  size_t rounds = SIZE_MAX, unclear = 0;
  for (const Variant& each : variants) {
    rounds = std::min(rounds, each.mean.rounds);
    const auto& interval = each.mean.interval;
    unclear += !interval || (interval->low <= 1 && interval->high >= 1) ? 1 : 0;
  }
  const Variant& most =
      *std::ranges::max_element(variants, {}, [](const Variant& each) { return each.mean.value; });
  figure.sentence = "The change that slows most is " + most.label() + ", of " + most.heading() +
                    ": " + estimate_words(most.mean, "times") + " as long; of " +
                    count_words(variants.size(), "change") + ", " +
                    number_words(static_cast<double>(unclear)) + " cannot be told from none." +
                    caution_words(rounds);
  figure.notes = {
      "Above 1 the change costs. Each is compared with the same cell in every other axis. "
      "Geometric mean where there are several functions."};
  figure.table = table_of(variants);
  return figure;
}

}  // namespace thaw
