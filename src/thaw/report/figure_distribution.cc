// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "thaw/replay/replay_vmm_options.h"
#include "thaw/report/distribution.h"
#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/panels.h"
#include "thaw/report/quantities.h"
#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

constexpr size_t kPointsMax = 150;
constexpr double kTablePercents[] = {5, 25, 50, 75, 90, 95, 99, 100};

SeriesLook look_of(const Cell& cell) {
  // The two ends are shown, what lies between on demand: all together are too many to read.
  return {.role = axis_value(cell, "technique"),
          .dash = dash_of(cell),
          .hidden = cell.storage == LabStorage::kEncrypted || cell.storage == LabStorage::kChunked};
}

/// What a distribution of a group's cells is made of.
using FillDistribution = std::function<void(const CountedCell& cell, Distribution& into)>;

FigurePanel panel_of(const PanelView& view, const Selection& selection, const std::string& x_title,
                     const FillDistribution& fill) {
  FigurePanel panel{.name = view.name,
                    .x = {.title = x_title, .logarithmic = true},
                    .y = {.title = "share at most that, %"}};
  for (const auto& [group, cells] : selection.groups) {
    Distribution distribution;
    for (const CountedCell* each : view.cells_of(cells)) fill(*each, distribution);
    if (distribution.empty()) continue;
    panel.series.push_back({cell_words(group), look_of(group), distribution.points(kPointsMax)});
  }
  return panel;
}

void add_quantiles(FigureTable& table, const Selection& selection, const FillDistribution& fill,
                   const std::string& unit) {
  table.columns = axis_columns({"storage", "technique", "tier", "function"});
  for (const double percent : kTablePercents) {
    table.columns.push_back({number_words(percent) + " %", unit});
  }
  for (const auto& [group, cells] : selection.groups) {
    for (const CountedCell* each : cells) {
      Distribution distribution;
      fill(*each, distribution);
      if (distribution.empty()) continue;
      auto row = axis_values(each->cell, {"storage", "technique", "tier", "function"});
      for (const double percent : kTablePercents) row.emplace_back(distribution.quantile(percent));
      table.rows.push_back(std::move(row));
    }
  }
}

/// Every resume, and every clone's.
FigureTable resumes_of(const Selection& selection) {
  FigureTable data;
  data.columns = axis_columns({"storage", "technique", "tier", "function"});
  data.columns.insert(data.columns.end(), {{"repetition", ""}, {"resume", "ms"}});
  for (const auto& [group, cells] : selection.groups) {
    for (const CountedCell* each : cells) {
      for (const Measurement* round : each->rounds) {
        for (const double ms : round->resume_ms) {
          auto row = axis_values(each->cell, {"storage", "technique", "tier", "function"});
          row.emplace_back(static_cast<double>(round->repetition));
          row.emplace_back(ms);
          data.rows.push_back(std::move(row));
        }
      }
    }
  }
  return data;
}

/// How many times the middle 90 % of resumes differ, for plain REAP and thaw's fastest.
std::string spread_sentence(const CountedResults& results, const Selection& selection,
                            const FillDistribution& over_baseline) {
  std::vector<const Cell*> wanted;
  const std::vector<Overhead> overheads = overheads_of(results, selection);
  for (const Overhead& each : overheads) {
    if (each.is_baseline()) wanted.push_back(&each.cell);
  }
  for (const Overhead* each : {slowest(overheads, is_study), fastest(overheads, is_thaws)}) {
    if (each != nullptr) wanted.push_back(&each->cell);
  }
  std::vector<std::string> words;
  size_t least = SIZE_MAX;
  for (const Cell* cell : wanted) {
    Distribution distribution;
    for (const CountedCell* each : selection.groups.at(*cell)) over_baseline(*each, distribution);
    if (distribution.empty()) continue;
    least = std::min(least, distribution.size());
    words.push_back(cell_words(*cell) + " within " + number_words(distribution.quantile(5)) +
                    " to " + number_words(distribution.quantile(95)) + " times");
  }
  if (words.empty()) return "";
  return "Against plain REAP's median for the same function, the middle 90 % of resumes are, by " +
         clause_words(words) + "; with " + count_words(least, "resume") +
         " a curve, its height is sure to within " + number_words(distribution_error(least)) +
         " percentage points (95 %).";
}

}  // namespace

Figure resume_distribution(const CountedResults& results) {
  Figure figure{.id = "resume_distribution",
                .title = "Distribution of resume time",
                .kind = FigureKind::kSteps};
  const Selection selection = select_cells(results, {"storage", "technique"});
  if (selection.empty()) {
    figure.needs = "any cell with the defaults of all axes but storage, technique and function";
    return figure;
  }
  const FillDistribution over_baseline = [&](const CountedCell& cell, Distribution& into) {
    const CountedCell* const baseline = results.baseline_of(cell.cell);
    if (baseline == nullptr) return;
    const double median = median_of(baseline->resume_ms());
    for (const Measurement* each : cell.rounds) {
      for (const double ms : each->resume_ms) into.add(ms / median);
    }
  };
  const FillDistribution in_ms = [](const CountedCell& cell, Distribution& into) {
    for (const Measurement* each : cell.rounds) {
      for (const double ms : each->resume_ms) into.add(ms);
    }
  };
  for (const PanelView& view : panel_views(selection)) {
    FigurePanel panel =
        view.function.empty()
            ? panel_of(view, selection, "resume time over plain REAP's median (ratio)",
                       over_baseline)
            : panel_of(view, selection, "resume time, ms", in_ms);
    if (view.function.empty()) {
      panel.x.line_at = 1;
      panel.x.line_name = "plain REAP's median";
    }
    if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
  }
  figure.sentence = spread_sentence(results, selection, over_baseline);
  if (figure.sentence.empty()) {
    figure.sentence = "Resume times of " + count_words(selection.groups.size(), "way") +
                      " to resume; plain REAP, to compare with, was not measured.";
  }
  figure.sentence += caution_words(results.rounds_min());
  figure.notes = {
      "All functions together are shown against plain REAP's median for the same function. A name "
      "that is struck out is hidden; choose it to see its curve.",
      selection.note};
  add_quantiles(figure.table, selection, in_ms, "ms");
  figure.data = resumes_of(selection);
  return figure;
}

Figure touch_distribution(const CountedResults& results) {
  Figure figure{.id = "touch_distribution",
                .title = "Distribution of page-fault service: what the first touch of a page takes",
                .kind = FigureKind::kSteps};
  Selection selection = select_cells(results, {"storage", "technique"});
  const FillDistribution in_us = [](const CountedCell& cell, Distribution& into) {
    for (const Measurement* each : cell.rounds) {
      if (each->touch_ns.size() != kTouchPercents.size()) continue;
      std::vector<double> us;
      // The clock's own resolution is far coarser than 1 ns: nothing is lost, and 0 has no
      // logarithm.
      for (const uint64_t ns : each->touch_ns) {
        us.push_back(static_cast<double>(std::max<uint64_t>(ns, 1)) / 1000);
      }
      into.add_quantiles(us, kTouchPercents, static_cast<double>(each->touches));
    }
  };
  for (const PanelView& view : panel_views(selection)) {
    FigurePanel panel = panel_of(view, selection, "first touch of a page, us", in_us);
    if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
  }
  if (figure.panels.empty()) {
    figure.needs = "measurements that have touch_ns";
    return figure;
  }
  const auto p50 =
      mean_of([](const Measurement& each) { return static_cast<double>(each.touch_p50_ns) / 1e3; });
  const auto p99 =
      mean_of([](const Measurement& each) { return static_cast<double>(each.touch_p99_ns) / 1e3; });
  std::vector<std::string> words;
  const std::vector<Overhead> overheads = overheads_of(results, selection);
  for (const auto& [group, cells] : selection.groups) {
    const bool said =
        Overhead{.cell = group}.is_baseline() ||
        (slowest(overheads, is_study) != nullptr && slowest(overheads, is_study)->cell == group) ||
        (fastest(overheads, is_thaws) != nullptr && fastest(overheads, is_thaws)->cell == group) ||
        selection.groups.size() == 1;
    if (!said) continue;
    words.push_back(cell_words(group) + ", " + estimate_words(*p50(cells), "us") + " and " +
                    estimate_words(*p99(cells), "us"));
  }
  figure.sentence =
      words.empty()
          ? "First touches by " + count_words(selection.groups.size(), "way") + " to resume."
          : "The median and the 99th percentile of a first touch: " + clause_words(words) +
                (results.functions().size() > 1 ? "; means over functions." : ".");
  figure.sentence += caution_words(results.rounds_min());
  figure.notes = {
      "Of the first clone. A page that was there before the guest touched it takes a fraction of a "
      "microsecond; what lies right of that waited for a fault. Each run is known at 23 percents, "
      "and counts as slow as the next of them: a curve is never left of the truth. All functions "
      "together are weighted by their touches.",
      selection.note};
  add_quantiles(figure.table, selection, in_us, "us");
  return figure;
}

}  // namespace thaw
