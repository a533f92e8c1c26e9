// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/shared_chunks.h"
#include "thaw/cli/snapshot_shape.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

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

}  // namespace

Result<void> run_show(const Settings& settings, const ShowRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
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
  out.say(table.text());
  report_images(shape, out);
  report_annotations(snapshot.manifest, out);
  return {};
}

}  // namespace thaw
