// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/working_set_report.h"

#include <algorithm>
#include <cstdio>

#include "thaw/base/units.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/text_table.h"

namespace thaw {
namespace {

std::string decimals(int places, double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", places, value);
  return text;
}

/// A row of the table.
struct Line {
  std::string label;
  PagesShape shape;
  uint64_t written = 0;  // pages
  double seconds = -1;   // negative: has no time
};

Line line_of(const Recording& recording, size_t number, const PageMap& map,
             const ManifestClear& clear) {
  Line line;
  line.label = std::to_string(number);
  std::vector<uint32_t> pages;
  for (const Touch& touch : recording.touches) {
    pages.push_back(touch.page);
    line.written += touch.write;
  }
  line.shape = shape_of(std::move(pages), map, clear.chunks);
  line.seconds = recording.touches.empty() ? 0 : recording.touches.back().us / 1e6;
  return line;
}

/// Pages that at least `share` of the recordings have; written, if most of these wrote them first.
Line line_of(const WorkingSet& set, double share, std::string label, const PageMap& map,
             const ManifestClear& clear) {
  Line line;
  line.label = std::move(label);
  std::vector<uint32_t> pages;
  for (const WorkingPage& page : merge_recordings(set.recordings, share)) {
    pages.push_back(page.page);
    line.written += 2 * page.written > page.seen;
  }
  line.shape = shape_of(std::move(pages), map, clear.chunks);
  return line;
}

JsonObject describe(const Line& line) {
  JsonObject object;
  object.set("pages", line.shape.pages)
      .set("runs", line.shape.runs)
      .set("zero_pages", line.shape.zero_pages)
      .set("written_pages", line.written)
      .set("written_share", share(line.written, line.shape.pages))
      .set("chunks", line.shape.chunks)
      .set("chunk_bytes", line.shape.chunk_pages * kPageBytes)
      .set("amplification", line.shape.amplification());
  if (line.seconds >= 0) object.set("seconds", line.seconds);
  return object;
}

void add_row(TextTable& table, const Line& line) {
  table.add({line.label, std::to_string(line.shape.pages), std::to_string(line.shape.runs),
             format_share(line.shape.zero_pages, line.shape.pages),
             format_share(line.written, line.shape.pages), std::to_string(line.shape.chunks),
             human_bytes(line.shape.chunk_pages * kPageBytes),
             decimals(1, line.shape.amplification()),
             line.seconds < 0 ? "-" : format_seconds(line.seconds)});
}

/// The Jaccard index of each two recordings.
std::vector<JsonObject> report_overlaps(const WorkingSet& set, Output& out) {
  const size_t count = set.recordings.size();
  std::vector<JsonObject> objects;
  TextTable table;
  std::vector<std::string> heading{"OVERLAP"};
  for (size_t i = 0; i < count; ++i) heading.push_back(std::to_string(i + 1));
  table.add(heading);
  for (size_t i = 0; i < count; ++i) {
    std::vector<std::string> row{std::to_string(i + 1)};
    for (size_t k = 0; k < i; ++k) {
      const double overlap = jaccard(set.recordings[k], set.recordings[i]);
      row.push_back(decimals(3, overlap));
      objects.emplace_back().set("a", k + 1).set("b", i + 1).set("jaccard", overlap);
    }
    table.add(row);
  }
  if (count > 1) out.say("\n" + table.text());
  return objects;
}

std::vector<JsonObject> report_packs(const WorkingSet& set, Output& out) {
  std::vector<JsonObject> objects;
  for (const Pack& pack : set.packs) {
    uint64_t pages = 0;
    for (const ChunkEntry& chunk : pack.chunks) pages += chunk.pages;
    objects.emplace_back()
        .set("kind", to_string(pack.kind))
        .set("chunks", pack.chunks.size())
        .set("pages", pages)
        .set("bytes", pages * kPageBytes);
    out.say(std::string(objects.size() == 1 ? "\n" : "") + "pack " + to_string(pack.kind) + ": " +
            format_count(pages, "page") + " in " + format_count(pack.chunks.size(), "chunk") +
            ", " + human_bytes(pages * kPageBytes) + "\n");
  }
  return objects;
}

}  // namespace

double PagesShape::amplification() const {
  const uint64_t data = pages - zero_pages;
  return data == 0 ? 0 : static_cast<double>(chunk_pages) / static_cast<double>(data);
}

PagesShape shape_of(std::vector<uint32_t> pages, const PageMap& map,
                    std::span<const ChunkEntry> chunks) {
  PagesShape shape;
  shape.pages = pages.size();
  std::ranges::sort(pages);
  std::vector<bool> fetched(chunks.size());
  uint64_t next = UINT64_MAX;
  for (const uint32_t page : pages) {
    shape.runs += page != next;
    next = uint64_t{page} + 1;
    const PageLocation at = map.locate(page);
    if (at.zero) {
      ++shape.zero_pages;
    } else if (!fetched[at.chunk]) {
      fetched[at.chunk] = true;
      ++shape.chunks;
      shape.chunk_pages += chunks[at.chunk].pages;
    }
  }
  return shape;
}

void report_working_set(const WorkingSet& set, const PageMap& map, const ManifestClear& clear,
                        Output& out) {
  TextTable table;
  table.add({"RECORDING", "PAGES", "RUNS", "ZERO", "WRITTEN", "CHUNKS", "THEIR BYTES", "TIMES",
             "LASTED"});
  std::vector<JsonObject> recordings;
  for (size_t i = 0; i < set.recordings.size(); ++i) {
    const Line line = line_of(set.recordings[i], i + 1, map, clear);
    add_row(table, line);
    recordings.push_back(describe(line));
  }
  const Line stable = line_of(set, kStableShareDefault, "in half", map, clear);
  const Line common = line_of(set, 1, "in all", map, clear);
  const Line any = line_of(set, 0, "in any", map, clear);
  for (const Line* line : {&stable, &common, &any}) add_row(table, *line);
  out.say("\nworking set\n" + table.text());
  const std::vector<JsonObject> overlaps = report_overlaps(set, out);
  const std::vector<JsonObject> packs = report_packs(set, out);
  JsonObject object;
  object.set("recordings", set.recordings.size())
      .set("each", recordings)
      .set("stable", describe(stable))
      .set("common", describe(common))
      .set("union", describe(any))
      .set("overlaps", overlaps)
      .set("packs", packs);
  out.result().set("working_set", object);
}

PageTrace trace_of(const Recording& recording, uint64_t page_count) {
  PageTrace trace{page_count, {}};
  for (const Touch& touch : recording.touches) {
    // The first one's time is the VM's way to its first touch, and nothing of the trace.
    const uint64_t before = &touch == recording.touches.data() ? touch.us : (&touch - 1)->us;
    trace.events.push_back({touch.page, touch.write, (touch.us - before) * 1000});
  }
  return trace;
}

}  // namespace thaw
