// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/freeze_child_job.h"
#include "thaw/cli/recorded_snapshot.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/freeze/snapshot_writer.h"

namespace thaw {
namespace {

Result<FreezeOptions> freeze_options(const Settings& settings, const FreezeRequest& request) {
  FreezeOptions options = settings.config.freeze;
  if (request.chunk_bytes) {
    TRY(validate_chunk_bytes(*request.chunk_bytes));
    options.chunk_bytes = static_cast<uint32_t>(*request.chunk_bytes);
  }
  if (request.threads) options.threads = static_cast<unsigned>(*request.threads);
  options.replace = request.replace;
  options.page_digests |= request.page_digests;
  for (const std::string& text : request.annotations) {
    ASSIGN_OR_RETURN(auto annotation, split_pair("--annotate", text));
    options.annotations.push_back(std::move(annotation));
  }
  TRY(options.validate());
  return options;
}

void report(const FreezeRequest& request, const FreezeOptions& options, const FreezeResult& result,
            const ObjectStore& store, Output& out) {
  const FreezeStats& stats = result.stats;
  const uint64_t all = stats.data_bytes + stats.zero_bytes + stats.hole_bytes;
  TextTable table;
  table.add({"snapshot", request.name + " in " + store.describe()});
  table.add({"manifest", result.target.manifest.hex()});
  table.add({"images", human_bytes(stats.bytes_total) + ", " +
                           format_share(all - stats.data_bytes, all) + " zero"});
  table.add({"chunks", std::to_string(stats.chunks_total) + " of " +
                           human_bytes(options.chunk_bytes) + ": " +
                           std::to_string(stats.chunks_created) + " new, " +
                           std::to_string(stats.chunks_existed) + " in the store already, " +
                           std::to_string(stats.chunks_duplicate) + " repeated"});
  table.add({"written", human_bytes(stats.bytes_written) + " and a manifest of " +
                            human_bytes(stats.manifest_bytes)});
  table.add({"time",
             format_seconds(stats.seconds) + ", " + format_rate(stats.bytes_total, stats.seconds)});
  out.say(table.text());
  out.result()
      .set("name", request.name)
      .set("root", result.target.root_id)
      .set("manifest", result.target.manifest.hex())
      .set("chunk_bytes", options.chunk_bytes)
      .set("bytes_total", stats.bytes_total)
      .set("data_bytes", stats.data_bytes)
      .set("zero_bytes", stats.zero_bytes)
      .set("hole_bytes", stats.hole_bytes)
      .set("chunks_total", stats.chunks_total)
      .set("chunks_created", stats.chunks_created)
      .set("chunks_existed", stats.chunks_existed)
      .set("chunks_duplicate", stats.chunks_duplicate)
      .set("bytes_written", stats.bytes_written)
      .set("manifest_bytes", stats.manifest_bytes)
      .set("seconds", stats.seconds);
}

Result<std::vector<SourceImage>> open_images(const FreezeRequest& request) {
  SourcePaths paths{request.memory, request.vmstate, {}};
  for (const std::string& text : request.disks) {
    ASSIGN_OR_RETURN(auto disk, split_pair("--disk", text));
    paths.disks.push_back(std::move(disk));
  }
  return open_sources(paths);
}

Result<void> freeze_whole(Workspace& workspace, const FreezeRequest& request,
                          std::span<const SourceImage> images, const FreezeOptions& options,
                          Output& out) {
  std::optional<RecordedLayout> layout;
  if (!request.working_set.empty()) {
    Result<RecordedSnapshot> recorded =
        open_recorded(workspace.catalog(), workspace.keys(), request.working_set);
    if (!recorded) return fail(std::move(recorded).error().with_context("--working-set"));
    const uint64_t bytes = recorded->snapshot.manifest.find(ImageKind::kMemory)->bytes;
    layout = RecordedLayout{std::move(recorded->recorded), bytes,
                            request.share.value_or(kStableShareDefault)};
  }
  FreezeResult result;
  {
    ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("freeze " + request.name, out));
    Catalog& catalog = workspace.catalog();
    if (layout) {
      ASSIGN_OR_RETURN(result, freeze_hot(catalog, workspace.keys(), request.name, images,
                                          std::move(*layout), options, job->progress()));
    } else {
      ASSIGN_OR_RETURN(result, freeze(catalog, workspace.keys(), request.name, images, options,
                                      job->progress()));
    }
  }
  report(request, options, result, workspace.catalog().store(), out);
  return {};
}

}  // namespace

Result<void> run_freeze(const Settings& settings, const FreezeRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  TRY(check_child_request(request));
  ASSIGN_OR_RETURN(const FreezeOptions options, freeze_options(settings, request));
  WarmRequest prime{.name = request.name, .zone = true};
  if (request.prime_zone) {
    ASSIGN_OR_RETURN(prime, checked_warm_request(settings, prime));
  }
  std::vector<SourceImage> images;
  if (request.parent.empty()) {
    ASSIGN_OR_RETURN(images, open_images(request));
  }
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  if (request.parent.empty()) {
    TRY(freeze_whole(workspace, request, images, options, out));
  } else {
    TRY(freeze_child_job(workspace, request, options, out));
  }
  if (!request.prime_zone) return {};
  ASSIGN_OR_RETURN(const OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  return warm_snapshot(settings, workspace, snapshot.manifest, prime, out);
}

}  // namespace thaw
