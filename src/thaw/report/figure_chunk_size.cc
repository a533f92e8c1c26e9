// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/units.h"
#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/panels.h"
#include "thaw/report/quantities.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

double chunk_kib(const Cell& cell) { return static_cast<double>(cell.chunk_bytes) / kKiB; }

FigureAxis chunk_axis() { return {.title = "chunk size, KiB", .logarithmic = true}; }

/// The cells that differ in chunk size and technique, where there are several sizes: of encrypted
/// chunks, else of plain ones.
Selection chunked_cells(const CountedResults& results) {
  for (const char* storage : {"chunked_encrypted", "chunked"}) {
    Selection selection =
        select_cells(results, {"chunk_bytes", "technique"}, {{"storage", storage}});
    keep_lines(selection, "chunk_bytes");
    if (!selection.empty()) return selection;
  }
  return {};
}

std::string needs_words() {
  return "storage=chunked_encrypted with two values of chunk_bytes or more";
}

/// "study_reap from 2.1 (95 %: ...) at 16 KiB to 12 (...) at 2,048 KiB".
std::string change_words(const Selection& selection, Technique technique,
                         const EstimateOfCells& estimate, const std::string& unit) {
  const Selection::Group *first = nullptr, *last = nullptr;
  for (const auto& group : selection.groups) {
    if (group.first.technique != technique) continue;
    if (first == nullptr || group.first.chunk_bytes < first->first.chunk_bytes) first = &group;
    if (last == nullptr || group.first.chunk_bytes > last->first.chunk_bytes) last = &group;
  }
  if (first == last) return "";
  const std::optional<Estimate> least = estimate(first->second);
  const std::optional<Estimate> most = estimate(last->second);
  if (!least || !most) return "";
  return axis_value(first->first, "technique") + " goes from " + estimate_words(*least, unit) +
         " with chunks of " + number_words(chunk_kib(first->first)) + " KiB to " +
         estimate_words(*most, unit) + " with " + number_words(chunk_kib(last->first)) + " KiB";
}

/// For the study's REAP and thaw's hot, or whatever there is.
std::string change_sentence(const Selection& selection, const EstimateOfCells& estimate,
                            const std::string& unit) {
  std::vector<std::string> changes;
  const auto add = [&](Technique technique) {
    std::string words = change_words(selection, technique, estimate, unit);
    if (!words.empty()) changes.push_back(std::move(words));
  };
  add(Technique::kStudyReap);
  add(Technique::kHot);
  for (const auto& [group, cells] : selection.groups) {
    if (changes.empty()) add(group.technique);
  }
  return clause_words(changes) + "." + caution_words(selection.rounds_min());
}

}  // namespace

Figure overhead_by_chunk_size(const CountedResults& results) {
  Figure figure{.id = "overhead_by_chunk_size",
                .title = "Overhead over plain REAP against chunk size",
                .kind = FigureKind::kLines};
  const Selection selection = chunked_cells(results);
  const EstimateOfCells overhead = overhead_of(results);
  figure.panels =
      make_panels(selection, LinePanels{.x = chunk_axis(),
                                        .y = {.title = "resume time over plain REAP's (ratio)",
                                              .logarithmic = true,
                                              .line_at = 1,
                                              .line_name = "plain REAP"},
                                        .x_of = chunk_kib,
                                        .estimate = overhead,
                                        .unit = "times"});
  if (figure.panels.empty()) {
    figure.needs = needs_words() + ", and storage=plain technique=study_reap to compare with";
    return figure;
  }
  figure.sentence = "Over plain REAP's time, " + change_sentence(selection, overhead, "times");
  figure.notes = {
      "Geometric mean where there are several functions; along a line they are the same.",
      selection.note};
  figure.table = make_table(selection, {"storage", "technique", "tier", "chunk_bytes"},
                            {{"over plain REAP", "ratio", overhead}});
  return figure;
}

Figure amplification_by_chunk_size(const CountedResults& results) {
  Figure figure{.id = "amplification_by_chunk_size",
                .title = "Read amplification against chunk size",
                .kind = FigureKind::kLines};
  const Selection all = chunked_cells(results);
  if (all.empty()) {
    figure.needs = needs_words();
    return figure;
  }
  const EstimateOfCells mean = mean_of(amplification);
  // Nothing read is nothing measured, and has no place on a logarithmic axis.
  const EstimateOfCells estimate = [&](CountedCells cells) {
    std::optional<Estimate> found = mean(cells);
    return found && found->value > 0 ? found : std::nullopt;
  };
  figure.panels =
      make_panels(all, LinePanels{.x = chunk_axis(),
                                  .y = {.title = "bytes read over bytes touched (ratio)",
                                        .logarithmic = true,
                                        .line_at = 1,
                                        .line_name = "each byte touched read once"},
                                  .x_of = chunk_kib,
                                  .estimate = estimate,
                                  .unit = "times"});
  if (figure.panels.empty()) {
    figure.needs = needs_words() + ", of which the bytes read were measured";
    return figure;
  }
  figure.sentence = "Of bytes read over bytes touched, " + change_sentence(all, estimate, "times");
  figure.notes = {
      "Read is what came from any tier, whole chunks or the wanted pages of them, as each "
      "technique "
      "asks; touched is 4 KiB for each page that the guest touched. Below 1: zero pages are not "
      "read.",
      all.note};
  figure.table = make_table(all, {"storage", "technique", "tier", "chunk_bytes"},
                            {{"read over touched", "ratio", mean}});
  return figure;
}

}  // namespace thaw
