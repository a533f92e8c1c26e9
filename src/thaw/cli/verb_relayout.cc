// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/shared_chunks.h"
#include "thaw/cli/snapshot_shape.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/freeze/relayout.h"
namespace thaw {
namespace {

/// What a layout does to sharing, in bytes of chunks: nobody gets deduplication for free.
struct Sharing {
  uint64_t stored = 0;  // of the snapshot itself
  SharedChunks others;  // what the tenant's other snapshots have of it
};

Result<Sharing> sharing_of(const Catalog& catalog, const std::string& tenant,
                           const std::string& name, const ManifestClear& clear) {
  Sharing sharing;
  sharing.stored = stored_pages(clear) * kPageBytes;
  ASSIGN_OR_RETURN(sharing.others, shared_with_others(catalog, tenant, name, clear));
  return sharing;
}

JsonObject object_of(const Sharing& sharing) {
  JsonObject object;
  object.set("stored_bytes", sharing.stored)
      .set("shared_bytes", sharing.others.bytes)
      .set("shared_share", share(sharing.others.bytes, sharing.stored))
      .set("snapshots", sharing.others.snapshots);
  return object;
}

std::string text_of(const Sharing& sharing) {
  return format_share(sharing.others.bytes, sharing.stored) + " of " + human_bytes(sharing.stored) +
         " with " + format_count(sharing.others.snapshots, "other snapshot");
}

void report_work(const RelayoutRequest& request, const RelayoutResult& result, TextTable& table) {
  table.add({"snapshot", request.name + ", laid out " + to_string(request.layout)});
  table.add({"manifest", result.target.manifest.hex()});
  if (request.layout == Layout::kHot) {
    table.add({"hot", format_count(result.hot_pages, "recorded page") + ", " +
                          std::to_string(result.zero_pages) + " of them zero, in " +
                          format_count(result.hot_chunks, "chunk") + "; their neighbours in " +
                          std::to_string(result.skirt_chunks)});
  }
  table.add({"chunks", std::to_string(result.chunks_total) + ": " +
                           std::to_string(result.chunks_created) + " new, " +
                           human_bytes(result.bytes_written) + " written"});
  table.add({"moved", format_count(result.moved_pages, "page")});
  table.add({"time", format_seconds(result.seconds)});
}

}  // namespace

Result<void> run_relayout(const Settings& settings, const RelayoutRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  RelayoutOptions options;
  options.layout = request.layout;
  options.share = request.share.value_or(kStableShareDefault);
  options.threads = static_cast<unsigned>(request.threads.value_or(settings.config.freeze.threads));
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  Catalog& catalog = workspace.catalog();
  ASSIGN_OR_RETURN(const OpenedSnapshot old,
                   open_snapshot(catalog, workspace.keys(), request.name));
  RelayoutResult result;
  {
    ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("relayout " + request.name, out));
    ASSIGN_OR_RETURN(result, relayout(catalog, workspace.keys(), request.name, old.target,
                                      old.manifest, options, job->progress()));
  }
  out.result()
      .set("name", request.name)
      .set("layout", to_string(request.layout))
      .set("changed", result.changed)
      .set("manifest", result.target.manifest.hex())
      .set("hot_pages", result.hot_pages)
      .set("hot_zero_pages", result.zero_pages)
      .set("hot_chunks", result.hot_chunks)
      .set("skirt_chunks", result.skirt_chunks)
      .set("moved_pages", result.moved_pages)
      .set("chunks_total", result.chunks_total)
      .set("chunks_created", result.chunks_created)
      .set("bytes_written", result.bytes_written)
      .set("seconds", result.seconds);
  if (!result.changed) {
    out.say("snapshot " + quote(request.name) + " is laid out " + to_string(request.layout) +
            " already; nothing was written\n");
    return {};
  }
  TextTable table;
  report_work(request, result, table);

  ASSIGN_OR_RETURN(const OpenedSnapshot now,
                   open_snapshot(catalog, workspace.keys(), request.name));
  const std::string& tenant = settings.tenant;
  ASSIGN_OR_RETURN(const Sharing before,
                   sharing_of(catalog, tenant, request.name, old.manifest.clear));
  ASSIGN_OR_RETURN(const Sharing after,
                   sharing_of(catalog, tenant, request.name, now.manifest.clear));
  const SharedChunks with_old = shared_between(now.manifest.clear, old.manifest.clear);
  table.add({"shared", text_of(before) + " before"});
  table.add({"", text_of(after) + " now"});
  table.add({"", format_share(with_old.bytes, after.stored) + " of " + human_bytes(after.stored) +
                     " with its own form before"});
  out.result()
      .set("before", object_of(before))
      .set("after", object_of(after))
      .set("shared_with_old_bytes", with_old.bytes)
      .set("shared_with_old_share", share(with_old.bytes, after.stored));
  out.say(table.text());
  return {};
}

}  // namespace thaw
