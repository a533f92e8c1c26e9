// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/serving_signals.h"
#include "thaw/cli/tier_counters.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/mount/snapshot_mount.h"

namespace thaw {

Result<void> run_mount(const Settings& settings, const MountRequest& request, Output& out) {
  MountOptions options = settings.config.mount;
  if (request.threads) options.threads = static_cast<unsigned>(*request.threads);
  options.allow_other |= request.allow_other;
  options.isolate_writers |= request.isolate_writers;
  TRY(options.validate());
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  TRY(workspace.catalog().active_root());

  ASSIGN_OR_RETURN(auto signals, ServingSignals::watch(settings));
  TierOptions tiers = settings.config.tiers;
  tiers.memory.bytes_max = settings.config.mount_memory_bytes;
  ASSIGN_OR_RETURN(const auto path, ReadPath::open(workspace.catalog().store(),
                                                   settings.config.restore_workers, tiers));
  ASSIGN_OR_RETURN(const auto mount,
                   SnapshotMount::create(options, workspace.catalog(), workspace.keys(),
                                         path->source(), request.directory));
  // A read that waits for an origin that does not answer would hold up the unmount until its
  // deadline.
  signals->attach(
      [&] {
        mount->stop();
        path->tiers().interrupt();
      },
      path->tiers());
  JsonObject mounted;
  mounted.set("event", "mounted")
      .set("directory", request.directory)
      .set("tenant", settings.tenant)
      .set("pid", ::getpid());
  out.event(mounted, "mounted: tenant " + settings.tenant + " on " + request.directory);
  const Result<void> outcome = mount->run();
  signals.reset();  // before the mount it stops
  const MountCounters& counters = mount->counters();
  JsonObject unmounted;
  unmounted.set("event", "unmounted")
      .set("reads", counters.reads.load())
      .set("read_bytes", counters.read_bytes.load())
      .set("chunks", path->tiers().origin().counters().chunks.load())
      .set("tiers", tier_counters(path->tiers()))
      .set("read_errors", counters.read_errors.load())
      .set("refused_stores", counters.refused_stores.load());
  out.event(unmounted, "unmounted: " + std::to_string(counters.reads.load()) + " reads, " +
                           human_bytes(counters.read_bytes.load()) + ", " +
                           std::to_string(counters.read_errors.load()) + " errors");
  return outcome;
}

}  // namespace thaw
