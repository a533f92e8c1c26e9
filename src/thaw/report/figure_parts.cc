// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "thaw/base/units.h"
#include "thaw/report/figures.h"
#include "thaw/report/overhead.h"
#include "thaw/report/panels.h"
#include "thaw/report/quantities.h"
#include "thaw/report/row_layout.h"
#include "thaw/report/words.h"

namespace thaw {
namespace {

/// Without the groups of which nothing was measured.
void drop_unmeasured(Selection& selection, const std::vector<BarPart>& parts) {
  std::erase_if(selection.groups, [&](const auto& group) {
    return std::ranges::all_of(parts, [&](const BarPart& part) {
      return std::ranges::all_of(group.second, [&](const CountedCell* cell) {
        return std::ranges::all_of(cell->rounds,
                                   [&](const Measurement* each) { return part.of(*each) == 0; });
      });
    });
  });
}

std::vector<TableEstimate> table_estimates(const std::vector<BarPart>& parts,
                                           const std::string& unit) {
  std::vector<TableEstimate> estimates;
  for (const BarPart& part : parts) estimates.push_back({part.name, unit, mean_of(part.of)});
  return estimates;
}

/// The groups of which a sentence speaks: plain REAP, the study's slowest, thaw's fastest.
std::vector<Cell> told_cells(const CountedResults& results, const Selection& selection) {
  const std::vector<Overhead> overheads = overheads_of(results, selection);
  std::vector<Cell> told;
  for (const Overhead& each : overheads) {
    if (each.is_baseline()) told.push_back(each.cell);
  }
  for (const Overhead* each : {slowest(overheads, is_study), fastest(overheads, is_thaws)}) {
    if (each != nullptr) told.push_back(each->cell);
  }
  if (told.empty() && !selection.empty()) told.push_back(selection.groups.begin()->first);
  return told;
}

std::string means_words(const Selection& selection) {
  const auto several = [](const auto& group) { return group.second.size() > 1; };
  return std::ranges::any_of(selection.groups, several) ? " Means over functions." : "";
}

/// "hot over chunked_encrypted works longest on install, 3.1 ms (95 %: ...)"
std::string longest_words(const Cell& cell, CountedCells cells, std::span<const BarPart> stages) {
  std::string longest;
  double most = -1;
  Estimate of_longest;
  for (const BarPart& stage : stages) {
    const Estimate estimate = *mean_of(stage.of)(cells);
    if (estimate.value <= most) continue;
    most = estimate.value;
    longest = stage.name;
    of_longest = estimate;
  }
  return "the server of " + cell_words(cell) + " works longest on " + longest + ", " +
         estimate_words(of_longest, "ms");
}

}  // namespace

Figure time_by_stage(const CountedResults& results) {
  Figure figure{.id = "time_by_stage", .title = "Time by stage", .kind = FigureKind::kBars};
  Selection selection = select_cells(results, {"storage", "technique"});
  const std::vector<BarPart> stages{{"fetch", "part1", fetch_ms},
                                    {"verify", "part2", verify_ms},
                                    {"decrypt", "part3", decrypt_ms},
                                    {"install", "part4", install_ms}};
  drop_unmeasured(selection, stages);
  if (selection.empty()) {
    figure.needs = "a cell of a page server, of which the stages were measured";
    return figure;
  }
  std::vector<BarPart> all = stages;
  all.push_back({"guest waits", "mark1", wait_ms});
  all.push_back({"resume", "mark2", resume_ms});
  figure.panels = make_panels(
      selection,
      BarPanels{.x = {.title = "time, ms"}, .headings = {"storage"}, .parts = all, .unit = "ms"});
  std::vector<std::string> words;
  for (const Cell& cell : told_cells(results, selection)) {
    words.push_back(longest_words(cell, selection.groups.at(cell), stages));
  }
  words[0][0] = static_cast<char>(std::toupper(static_cast<unsigned char>(words[0][0])));
  figure.sentence =
      clause_words(words) + "." + means_words(selection) + caution_words(selection.rounds_min());
  figure.notes = {
      "Bars are what the page server's stages took, added over its threads. The study's server has "
      "one thread that does one after the other. Thaw's stages overlap: their sum may exceed the "
      "resume (the diamond), and is work, not time.",
      "The dot is what the guest waited in first touches of pages; it waits while the server "
      "works, "
      "so it is beside the bars and no part of them. A stage without length was not measured, or "
      "there is nothing to do in it.",
      technique_label_note(selection), selection.note};
  figure.table =
      make_table(selection, {"storage", "technique", "tier"}, table_estimates(all, "ms"));
  return figure;
}

Figure bytes_by_tier(const CountedResults& results) {
  Figure figure{.id = "bytes_by_tier", .title = "Bytes read by tier", .kind = FigureKind::kBars};
  Selection selection = select_cells(results, {"storage", "technique", "tier"});
  const auto mib = [](uint64_t Measurement::* bytes) {
    return [bytes](const Measurement& each) { return static_cast<double>(each.*bytes) / kMiB; };
  };
  const std::vector<BarPart> tiers{{"memory", "part1", mib(&Measurement::memory_bytes)},
                                   {"local disk", "part2", mib(&Measurement::local_bytes)},
                                   {"zone", "part3", mib(&Measurement::zone_bytes)},
                                   {"origin", "part4", mib(&Measurement::origin_bytes)}};
  drop_unmeasured(selection, tiers);
  if (selection.empty()) {
    figure.needs = "a cell of which the bytes read were measured; the kernel's own are not";
    return figure;
  }
  std::vector<BarPart> all = tiers;
  all.push_back({"touched by the guest", "mark2", [](const Measurement& each) {
                   return static_cast<double>(each.touches * kPageBytes) / kMiB;
                 }});
  figure.panels = make_panels(selection, BarPanels{.x = {.title = "read, MiB"},
                                                   .headings = {"storage", "tier"},
                                                   .parts = all,
                                                   .unit = "MiB"});
  std::vector<std::string> words;
  for (const Cell& cell : told_cells(results, selection)) {
    const auto& cells = selection.groups.at(cell);
    words.push_back(
        cell_words(cell) + ", " +
        estimate_words(
            *mean_of([](const Measurement& each) { return bytes_read(each) / kMiB; })(cells),
            "MiB") +
        ", " + estimate_words(*mean_of(amplification)(cells), "times what the guest touched"));
  }
  figure.sentence = "Read for a resume: " + clause_words(words) + "." + means_words(selection) +
                    caution_words(selection.rounds_min());
  figure.notes = {
      "By where it came from; what a lower tier brings and an upper one keeps is counted once. The "
      "diamond is what the guest touched, 4 KiB for each page.",
      technique_label_note(selection), selection.note};
  std::vector<TableEstimate> estimates = table_estimates(all, "MiB");
  estimates.push_back({"read over touched", "ratio", mean_of(amplification)});
  estimates.push_back({"requests", "", mean_of([](const Measurement& each) {
                         return static_cast<double>(each.requests);
                       })});
  figure.table = make_table(selection, {"storage", "technique", "tier"}, estimates);
  return figure;
}

Figure memory_by_clone(const CountedResults& results) {
  Figure figure{
      .id = "memory_by_clone", .title = "Guest memory of each clone", .kind = FigureKind::kBars};
  Selection selection = select_cells(results, {"storage", "technique", "parallel"});
  // All of the guest's memory, by its definition: beside it nothing else could be seen.
  std::erase_if(selection.groups,
                [](const auto& group) { return group.first.technique == Technique::kPresent; });
  const std::vector<BarPart> parts{{"its own", "part1", private_mib},
                                   {"its share of what clones have together", "part3", shared_mib}};
  drop_unmeasured(selection, parts);
  if (selection.empty()) {
    figure.needs = "measurements that have private_mib and share_mib";
    return figure;
  }
  figure.panels =
      make_panels(selection, BarPanels{.x = {.title = "resident after the last touch, MiB a clone"},
                                       .headings = {"storage", "parallel"},
                                       .parts = parts,
                                       .unit = "MiB"});
  const EstimateOfCells whole =
      mean_of([](const Measurement& each) { return private_mib(each) + shared_mib(each); });
  const Selection::Group *least = nullptr, *most = nullptr;
  for (const auto& group : selection.groups) {
    const auto value = [&](const auto* each) { return whole(each->second)->value; };
    if (least == nullptr || value(&group) < value(least)) least = &group;
    if (most == nullptr || value(&group) > value(most)) most = &group;
  }
  const auto words_of = [&](const auto* group) {
    return cell_words(group->first) + ", " + axis_value(group->first, "parallel") + " at once, " +
           estimate_words(*whole(group->second), "MiB");
  };
  figure.sentence = "A clone takes most memory by " + words_of(most) + ", and least by " +
                    words_of(least) + "." + means_words(selection) +
                    caution_words(selection.rounds_min());
  figure.notes = {
      "The median over the clones. The share is the kernel's PSS without what is the clone's own: "
      "a "
      "page that eight clones have together counts an eighth for each. Pages in the page cache or "
      "a "
      "tier's cache that no guest maps are not in it. The technique present is left out: it has "
      "all of "
      "the guest's memory, whatever is touched.",
      technique_label_note(selection), selection.note};
  std::vector<TableEstimate> estimates = table_estimates(parts, "MiB");
  estimates.push_back({"together", "MiB", whole});
  figure.table = make_table(selection, {"storage", "technique", "parallel"}, estimates);
  return figure;
}

}  // namespace thaw
