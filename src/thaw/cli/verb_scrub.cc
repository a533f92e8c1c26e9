// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {
namespace {

Result<void> scrub_local(const DiskCacheOptions& options, Output& out) {
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("scrub " + options.path, out));
  ASSIGN_OR_RETURN(const auto cache, DiskCache::open(options));
  Progress& progress = job->progress();
  const ScrubReport done = cache->scrub({.verify_names = true, .progress = [&](const auto& at) {
                                           progress.bytes_total = at.slots * options.slot_bytes;
                                           progress.bytes_done = at.slots_done * options.slot_bytes;
                                           return !progress.cancelled();
                                         }});
  if (!done.finished) return fail(ErrorCode::kInterrupted, "stopped while scrubbing");
  out.say("local: " + format_count(done.chunks, "chunk") + " good, " + human_bytes(done.bytes) +
          ", " + std::to_string(done.corrupt) + " damaged and dropped, " +
          std::to_string(done.read_errors) + " unreadable and dropped\n");
  JsonObject object;
  object.set("chunks_good", done.chunks)
      .set("bytes", done.bytes)
      .set("corrupt", done.corrupt)
      .set("read_errors", done.read_errors);
  out.result().set("local", object);
  return {};
}

/// The chunks of all the tenant's snapshots, each once. Names are in clear in a manifest: no key is
/// needed to know them, and the tenant's is there anyway.
Result<std::map<ChunkId, uint32_t>> chunks_of_tenant(Workspace& workspace,
                                                     const std::string& tenant) {
  std::map<ChunkId, uint32_t> chunks;
  ASSIGN_OR_RETURN(const auto names, workspace.catalog().names(tenant));
  for (const std::string& name : names) {
    Result<OpenedSnapshot> snapshot = open_snapshot(workspace.catalog(), workspace.keys(), name);
    if (!snapshot && snapshot.error().code == ErrorCode::kNotFound) continue;  // removed meanwhile
    if (!snapshot) return fail(std::move(snapshot).error());
    for (const ChunkEntry& entry : snapshot->manifest.clear.chunks) {
      chunks.emplace(entry.id, entry.pages);
    }
  }
  return chunks;
}

Result<void> scrub_zone(const Settings& settings, Output& out) {
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("scrub zone", out));
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(const auto chunks, chunks_of_tenant(workspace, settings.tenant));
  ASSIGN_OR_RETURN(const auto zone, ZoneClient::create(*settings.config.tiers.zone));
  if (const Result<void> all = wait_for_zone(*zone); !all) {
    out.note(all.error().message + "; their stripes are left as they are");
  }
  Progress& progress = job->progress();
  for (const auto& [id, pages] : chunks) progress.bytes_total += pages * kPageBytes;
  uint64_t readable = 0, absent = 0, corrupt = 0, missing = 0, unknown = 0, rewritten = 0,
           removed = 0;
  for (const auto& [id, pages] : chunks) {
    if (progress.cancelled()) return fail(ErrorCode::kInterrupted, "stopped while scrubbing");
    const ChunkCheck check = zone->check(id, pages, std::nullopt, ZoneClient::CheckMode::kRepair);
    readable += check.readable ? 1 : 0;
    absent += check.count(StripeState::kOk) == 0 && !check.readable ? 1 : 0;
    corrupt += check.count(StripeState::kCorrupt);
    missing += check.count(StripeState::kMissing);
    unknown += check.count(StripeState::kNodeDown);
    rewritten += check.rewritten;
    removed += check.removed;
    progress.advance(pages * kPageBytes);
  }
  out.say("zone: " + std::to_string(readable) + " of " + format_count(chunks.size(), "chunk") +
          " readable, " + std::to_string(absent) + " not there; stripes: " +
          std::to_string(corrupt) + " damaged, " + std::to_string(missing) + " missing, " +
          std::to_string(unknown) + " on nodes that do not answer; " + std::to_string(rewritten) +
          " rewritten, " + std::to_string(removed) + " dropped\n");
  JsonObject object;
  object.set("chunks", chunks.size())
      .set("readable", readable)
      .set("absent", absent)
      .set("stripes_corrupt", corrupt)
      .set("stripes_missing", missing)
      .set("stripes_unknown", unknown)
      .set("stripes_rewritten", rewritten)
      .set("stripes_removed", removed);
  out.result().set("zone", object);
  return {};
}

}  // namespace

Result<void> run_scrub(const Settings& settings, const ScrubRequest& request, Output& out) {
  const TierOptions& tiers = settings.config.tiers;
  const bool both = !request.local && !request.zone;
  const bool local = request.local || (both && tiers.local);
  const bool zone = request.zone || (both && tiers.zone);
  const std::string where = settings.config_path.value_or(kDefaultConfig);
  if ((local && !tiers.local) || (zone && !tiers.zone) || (!local && !zone)) {
    return fail(ErrorCode::kInvalid, "there is nothing to scrub: [" +
                                         std::string(zone ? "zone" : "local") + "] is not in " +
                                         where);
  }
  if (local) TRY(scrub_local(tiers.local->cache, out));
  if (zone) TRY(scrub_zone(settings, out));
  return {};
}

}  // namespace thaw
