// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/shared_chunks.h"
#include "thaw/cli/snapshot_shape.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/working_set_report.h"
#include "thaw/cli/workspace.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

double pages_per_run(const ImageShape& image) {
  return image.runs == 0 ? 0
                         : static_cast<double>(image.data_pages) / static_cast<double>(image.runs);
}

std::string one_decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

void report_images(const SnapshotShape& shape, Output& out) {
  TextTable table;
  table.add({"IMAGE", "NAME", "SIZE", "ZERO", "RUNS", "PAGES/RUN"});
  std::vector<JsonObject> objects;
  for (const ImageShape& image : shape.images) {
    const uint64_t zero_pages = image.pages - image.data_pages;
    table.add({to_string(image.kind), image.kind == ImageKind::kDisk ? image.name : "-",
               human_bytes(image.bytes), format_share(zero_pages, image.pages),
               std::to_string(image.runs), one_decimal(pages_per_run(image))});
    JsonObject object;
    object.set("kind", to_string(image.kind))
        .set("name", image.name)
        .set("bytes", image.bytes)
        .set("pages", image.pages)
        .set("data_pages", image.data_pages)
        .set("zero_share", share(zero_pages, image.pages))
        .set("runs", image.runs)
        .set("pages_per_run", pages_per_run(image));
    objects.push_back(std::move(object));
  }
  out.say("\n" + table.text());
  out.result().set("images", objects);
}

void report_annotations(const Manifest& manifest, Output& out) {
  TextTable table;
  JsonObject object;
  for (const auto& [key, value] : manifest.annotations) {
    table.add({"  " + key, value});
    object.set(key, value);
  }
  if (!table.empty()) out.say("\nannotations\n" + table.text());
  out.result().set("annotations", object);
}

/// The one line that every show has.
std::string brief(const Result<std::optional<WorkingSet>>& set) {
  if (!set) return "cannot be read, and resumes go without it: " + set.error().message;
  if (!*set) return "none; `thaw record` makes one";
  const std::vector<Recording>& recordings = (*set)->recordings;
  return format_count(recordings.size(), "recording") + ", the newest of " +
         format_count(recordings.back().touches.size(), "page");
}

JsonObject brief_object(const Result<std::optional<WorkingSet>>& set) {
  JsonObject object;
  object.set("recordings", set && *set ? (*set)->recordings.size() : 0);
  if (!set) {
    object.set("error", JsonObject()
                            .set("code", to_string(set.error().code))
                            .set("message", printable(set.error().message)));
  }
  return object;
}

Result<void> write_trace(const WorkingSet& set, const ShowRequest& request, uint64_t page_count,
                         Output& out) {
  const size_t count = set.recordings.size();
  const size_t number = request.recording.value_or(static_cast<uint32_t>(count));
  if (number > count) {
    return fail(ErrorCode::kNotFound, "snapshot " + quote(request.name) + " has " +
                                          format_count(count, "recording") + ", no number " +
                                          std::to_string(number));
  }
  TRY(write_page_trace(request.trace, trace_of(set.recordings[number - 1], page_count)));
  out.say("\nrecording " + std::to_string(number) + " is in " + request.trace + "\n");
  out.result().set("trace", request.trace).set("trace_recording", number);
  return {};
}

}  // namespace

Result<void> run_show(const Settings& settings, const ShowRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  if (request.recording && request.trace.empty()) {
    return fail(ErrorCode::kInvalid, "--recording says what --trace FILE writes: give both");
  }
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(const OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  const ManifestClear& clear = snapshot.manifest.clear;
  const SnapshotShape shape = shape_of(snapshot.manifest);
  const uint64_t stored = shape.stored_pages * kPageBytes;
  const uint64_t repeated =
      shape.data_pages > shape.stored_pages ? shape.data_pages - shape.stored_pages : 0;

  TextTable table;
  table.add({"snapshot", request.name + " of tenant " + settings.tenant});
  table.add(
      {"manifest", snapshot.target.manifest.hex() + ", " + human_bytes(snapshot.manifest_bytes)});
  table.add({"root", std::to_string(clear.root_id)});
  table.add({"layout", std::string(to_string(clear.layout)) + ", chunks of " +
                           human_bytes(clear.chunk_bytes)});
  table.add({"chunks", std::to_string(clear.chunks.size()) + ", " + human_bytes(stored)});
  table.add({"size", human_bytes(shape.bytes) + ", " +
                         format_share(shape.pages - shape.data_pages, shape.pages) + " zero"});
  table.add({"repeated", format_share(repeated, shape.data_pages) + " of the data inside it"});
  out.result()
      .set("name", request.name)
      .set("tenant", settings.tenant)
      .set("manifest", snapshot.target.manifest.hex())
      .set("manifest_bytes", snapshot.manifest_bytes)
      .set("root", clear.root_id)
      .set("layout", to_string(clear.layout))
      .set("chunk_bytes", clear.chunk_bytes)
      .set("chunks", clear.chunks.size())
      .set("stored_bytes", stored)
      .set("bytes", shape.bytes)
      .set("data_bytes", shape.data_pages * kPageBytes)
      .set("zero_share", share(shape.pages - shape.data_pages, shape.pages))
      .set("repeated_share", share(repeated, shape.data_pages));
  if (request.shared) {
    ASSIGN_OR_RETURN(const SharedChunks shared,
                     shared_with_others(workspace.catalog(), settings.tenant, request.name, clear));
    table.add({"shared", format_share(shared.bytes, stored) + " of the chunks' bytes with " +
                             format_count(shared.snapshots, "other snapshot")});
    JsonObject object;
    object.set("snapshots", shared.snapshots)
        .set("chunks", shared.chunks)
        .set("bytes", shared.bytes)
        .set("share", share(shared.bytes, stored));
    out.result().set("shared", object);
  }
  const Image* const memory = snapshot.manifest.find(ImageKind::kMemory);
  const uint64_t page_count = memory == nullptr ? 0 : memory->map.page_count();
  const Result<std::optional<WorkingSet>> set =
      open_working_set(workspace.catalog(), workspace.keys(), snapshot.target, page_count);
  const bool whole_set = request.working_set || !request.trace.empty();
  if (whole_set && !set) return fail(set.error());
  if (whole_set && !*set) {
    return fail(ErrorCode::kNotFound, "no working set was recorded of snapshot " +
                                          quote(request.name) + "; `thaw record` makes one");
  }
  table.add({"working set", brief(set)});
  if (!request.working_set) out.result().set("working_set", brief_object(set));
  out.say(table.text());
  report_images(shape, out);
  report_annotations(snapshot.manifest, out);
  if (request.working_set) report_working_set(**set, memory->map, clear, out);
  if (!request.trace.empty()) TRY(write_trace(**set, request, page_count, out));
  return {};
}

}  // namespace thaw
