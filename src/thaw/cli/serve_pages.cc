// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/serve_pages.h"

#include <unistd.h>

#include "thaw/cli/serving_signals.h"
#include "thaw/cli/tier_counters.h"

namespace thaw {
namespace {

JsonObject ended_event(const SessionSummary& summary) {
  JsonObject event;
  event.set("event", "session_ended")
      .set("vmm_pid", summary.vmm_pid)
      .set("end", to_string(summary.end))
      .set("strategy", to_string(summary.strategy));
  if (!summary.error.empty()) event.set("message", printable(summary.error));
  event.set("faults", summary.faults)
      .set("write_faults", summary.write_faults)
      .set("zero_faults", summary.zero_faults)
      .set("hits", summary.hits)
      .set("misses", summary.misses)
      .set("joined", summary.joined)
      .set("stale", summary.stale)
      .set("chunks", summary.chunks)
      .set("pages_copied", summary.pages_copied)
      .set("pages_zeroed", summary.pages_zeroed)
      .set("pages_removed", summary.pages_removed)
      .set("pages_present", summary.pages_present)
      .set("removes", summary.removes)
      .set("again", summary.again)
      .set("predicted_pages", summary.predicted_pages)
      .set("predicted_faults", summary.predicted_faults)
      .set("unpredicted_faults", summary.unpredicted_faults)
      .set("prefetch_stopped", summary.prefetch_stopped)
      .set("prefetch_errors", summary.prefetch_errors);
  return event;
}

std::string ended_text(const SessionSummary& summary) {
  std::string text =
      "session of VMM " + std::to_string(summary.vmm_pid) + " ended: " + to_string(summary.end) +
      ", " + std::to_string(summary.faults) + " faults (" + std::to_string(summary.hits) +
      " hits, " + std::to_string(summary.misses) + " misses, " +
      std::to_string(summary.zero_faults) + " zero), " + std::to_string(summary.pages_copied) +
      " pages copied, " + std::to_string(summary.pages_zeroed) + " zeroed; strategy " +
      to_string(summary.strategy);
  if (summary.predicted_pages > 0) {
    text += ": " + std::to_string(summary.predicted_pages) + " pages predicted, " +
            std::to_string(summary.unpredicted_faults) + " faults on others" +
            (summary.prefetch_stopped ? ", stopped as mostly wrong" : "");
  }
  if (!summary.error.empty()) text += "\n  " + summary.error;
  return text;
}

PageServer::Observer observer_of(const PageServing& serving, ReadPath& path, Output& out) {
  return {[&out](const SessionSummary& summary) {
            JsonObject event;
            event.set("event", "session_started").set("vmm_pid", summary.vmm_pid);
            out.event(event, "session of VMM " + std::to_string(summary.vmm_pid) + " started");
          },
          [&](const SessionSummary& summary) {
            out.event(ended_event(summary), ended_text(summary));
            if (serving.on_session_end) serving.on_session_end(summary);
          },
          [&path] { path.tiers().interrupt(); }};
}

}  // namespace

Result<void> serve_pages(const Settings& settings, Workspace& workspace,
                         const ServedSnapshot& snapshot, const PageServing& serving, Output& out) {
  ASSIGN_OR_RETURN(auto signals, ServingSignals::watch(settings, serving.signals));
  TierOptions tiers = settings.config.tiers;
  tiers.memory.bytes_max = settings.config.restore_memory_bytes;
  ASSIGN_OR_RETURN(const auto path,
                   ReadPath::open(workspace.catalog().store(), serving.workers, tiers));
  ASSIGN_OR_RETURN(
      const auto server,
      PageServer::create(serving.socket, snapshot.image, path->source(), path->workers(),
                         serving.server, observer_of(serving, *path, out)));
  signals->attach(
      [&] {
        if (serving.on_stop) serving.on_stop();
        server->stop();
      },
      path->tiers());
  const uint64_t bytes = snapshot.image->memory().bytes;
  JsonObject ready;
  ready.set("event", "ready")
      .set("name", snapshot.name)
      .set("socket", serving.socket)
      .set("manifest", snapshot.target.manifest.hex())
      .set("memory_bytes", bytes)
      .set("pid", ::getpid());
  out.event(ready, "ready: " + snapshot.name + ", " + human_bytes(bytes) + " of memory, on " +
                       serving.socket);
  const Result<void> outcome = server->run();
  signals.reset();  // before the server it stops
  if (serving.on_served) serving.on_served();
  JsonObject done;
  done.set("event", "tiers").set("tiers", tier_counters(path->tiers()));
  out.event(done, tiers_text(path->tiers()));
  return outcome;
}

}  // namespace thaw
