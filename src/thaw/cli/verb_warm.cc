// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/tier/page_reader.h"
#include "thaw/tier/warm.h"

namespace thaw {
namespace {

enum class WarmTarget { kLocal, kZone };

/// One pass: the chunks go through a stack that ends, upwards, with the tier to be filled.
Result<WarmReport> warm_one(const Settings& settings, Workspace& workspace,
                            std::span<const ChunkRequest> chunks, WarmTarget target, Output& out,
                            const std::string& name) {
  TierOptions tiers = settings.config.tiers;
  tiers.memory.bytes_max = 0;
  if (target == WarmTarget::kZone) tiers.local.reset();
  const std::string label = std::string(target == WarmTarget::kZone ? "zone" : "local disk");
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("warm " + name + ", " + label, out));
  ASSIGN_OR_RETURN(const auto path, ReadPath::open(workspace.catalog().store(),
                                                   settings.config.restore_workers, tiers));
  if (target == WarmTarget::kLocal && path->tiers().local() == nullptr) {
    return fail(ErrorCode::kUnavailable,
                "the disk cache " + settings.config.tiers.local->cache.path +
                    " cannot be used now (the log says why), so it was not filled");
  }
  return warm(path->tiers(), chunks, job->progress());
}

void report(const std::string& tier, const WarmReport& done, Output& out,
            std::vector<JsonObject>& objects) {
  out.say(tier + ": " + format_count(done.chunks, "chunk") + ", " + human_bytes(done.bytes) + ": " +
          std::to_string(done.from_local) + " on the disk, " + std::to_string(done.from_zone) +
          " in the zone already, " + std::to_string(done.from_origin) + " from the origin" +
          (done.not_kept == 0 ? "" : ", " + std::to_string(done.not_kept) + " not kept") + "\n");
  objects.emplace_back()
      .set("tier", tier)
      .set("chunks", done.chunks)
      .set("bytes", done.bytes)
      .set("from_local", done.from_local)
      .set("from_zone", done.from_zone)
      .set("from_origin", done.from_origin)
      .set("not_kept", done.not_kept);
}

}  // namespace

Result<void> warm_snapshot(const Settings& settings, Workspace& workspace, const Manifest& manifest,
                           const WarmRequest& request, Output& out) {
  std::vector<ChunkRequest> chunks;
  for (uint32_t i = 0; i < manifest.clear.chunks.size(); ++i) {
    chunks.push_back(request_for(manifest, i, Priority::kPrefetch));
  }
  std::vector<JsonObject> objects;
  // The zone first: the disk's pass then finds there what it needs.
  for (const WarmTarget target : {WarmTarget::kZone, WarmTarget::kLocal}) {
    const bool zone = target == WarmTarget::kZone;
    if (!(zone ? request.zone : request.local)) continue;
    ASSIGN_OR_RETURN(const WarmReport done,
                     warm_one(settings, workspace, chunks, target, out, request.name));
    report(zone ? "zone" : "local", done, out, objects);
  }
  out.result().set("name", request.name).set("warmed", objects);
  return {};
}

Result<WarmRequest> checked_warm_request(const Settings& settings, WarmRequest request) {
  const TierOptions& tiers = settings.config.tiers;
  if (!request.local && !request.zone) {
    request.local = tiers.local.has_value();
    request.zone = tiers.zone.has_value();
  }
  const std::string where = settings.config_path.value_or(kDefaultConfig);
  if (request.zone && !tiers.zone) {
    return fail(ErrorCode::kInvalid, "there is no zone to fill: add [zone] to " + where);
  }
  if (request.local && !tiers.local) {
    return fail(ErrorCode::kInvalid, "there is no disk cache to fill: add [local] to " + where);
  }
  if (!request.local && !request.zone) {
    return fail(ErrorCode::kInvalid, "there is no tier to fill: add [local] or [zone] to " + where);
  }
  return request;
}

Result<void> run_warm(const Settings& settings, const WarmRequest& asked, Output& out) {
  TRY(validate_name("snapshot name", asked.name));
  ASSIGN_OR_RETURN(const WarmRequest request, checked_warm_request(settings, asked));
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(const OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  return warm_snapshot(settings, workspace, snapshot.manifest, request, out);
}

}  // namespace thaw
