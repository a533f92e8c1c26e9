// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/recorded_snapshot.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/freeze/pack_writer.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

uint64_t pages_of(const Pack& pack) {
  uint64_t pages = 0;
  for (const ChunkEntry& chunk : pack.chunks) pages += chunk.pages;
  return pages;
}

}  // namespace

Result<void> run_pack(const Settings& settings, const PackRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  PackOptions options;
  options.kind = request.kind;
  options.gap_pages = static_cast<uint32_t>(request.gap_pages);
  options.threads = static_cast<unsigned>(request.threads.value_or(settings.config.freeze.threads));
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(RecordedSnapshot recorded,
                   open_recorded(workspace.catalog(), workspace.keys(), request.name));
  const std::vector<WorkingPage> pages =
      merge_recordings(recorded.recorded.recordings, request.share.value_or(kStableShareDefault));
  Pack pack;
  {
    ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("pack " + request.name, out));
    ASSIGN_OR_RETURN(pack, seal_pack(workspace.catalog().store(), workspace.keys(),
                                     recorded.snapshot.manifest, pages, options, job->progress()));
  }
  const uint64_t packed = pages_of(pack);
  const size_t chunks = pack.chunks.size();
  std::erase_if(recorded.recorded.packs, [&](const Pack& old) { return old.kind == request.kind; });
  if (chunks > 0) recorded.recorded.packs.push_back(std::move(pack));
  TRY(put_working_set(workspace.catalog(), workspace.keys(), recorded.snapshot.target,
                      recorded.recorded));
  out.say("packed " + format_count(packed, "page") + " of snapshot " + quote(request.name) +
          " for " + to_string(request.kind) + ", " + format_count(chunks, "chunk") + ", " +
          human_bytes(packed * kPageBytes) + "\n");
  out.result()
      .set("name", request.name)
      .set("kind", to_string(request.kind))
      .set("recorded_pages", pages.size())
      .set("pages", packed)
      .set("chunks", chunks)
      .set("bytes", packed * kPageBytes);
  return {};
}

}  // namespace thaw
