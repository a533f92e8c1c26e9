// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/serve_mount.h"

#include <unistd.h>

#include "thaw/cli/serving_signals.h"
#include "thaw/cli/tier_counters.h"

namespace thaw {

Result<void> serve_mount(const Settings& settings, Workspace& workspace,
                         const MountServing& serving, Output& out) {
  ASSIGN_OR_RETURN(auto signals, ServingSignals::watch(settings, serving.signals));
  TierOptions tiers = settings.config.tiers;
  tiers.memory.bytes_max = settings.config.mount_memory_bytes;
  ASSIGN_OR_RETURN(const auto path, ReadPath::open(workspace.catalog().store(),
                                                   settings.config.restore_workers, tiers));
  ASSIGN_OR_RETURN(const auto mount,
                   SnapshotMount::create(serving.options, workspace.catalog(), workspace.keys(),
                                         path->source(), serving.directory));
  // A read that waits for an origin that does not answer would hold up the unmount until its
  // deadline.
  signals->attach(
      [&] {
        if (serving.on_stop) serving.on_stop();
        mount->stop();
        path->tiers().interrupt();
      },
      path->tiers());
  JsonObject mounted;
  mounted.set("event", "mounted")
      .set("directory", serving.directory)
      .set("tenant", settings.tenant)
      .set("pid", ::getpid());
  out.event(mounted, "mounted: tenant " + settings.tenant + " on " + serving.directory);
  const Result<void> outcome = mount->run();
  signals.reset();  // before the mount it stops
  if (serving.on_served) serving.on_served();
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
