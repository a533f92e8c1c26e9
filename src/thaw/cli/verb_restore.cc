// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/export_images.h"
#include "thaw/cli/serving_signals.h"
#include "thaw/cli/tier_counters.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/resume/page_server.h"
#include "thaw/resume/resume_image.h"

namespace thaw {
namespace {

Result<PageServerOptions> server_options(const Settings& settings, const RestoreRequest& request) {
  PageServerOptions options = settings.config.restore;
  if (request.strategy) {
    const auto strategy = parse_strategy_choice(*request.strategy);
    if (!strategy) {
      return fail(ErrorCode::kInvalid, std::string("--strategy is one of ") + kStrategyWords);
    }
    options.session.strategy = *strategy;
  }
  if (request.prefault) {
    const auto prefault = parse_prefault(*request.prefault);
    if (!prefault) return fail(ErrorCode::kInvalid, "--prefault is none or all");
    options.session.prefault = *prefault;
  }
  if (request.fill) {
    const auto fill = parse_fill(*request.fill);
    if (!fill) return fail(ErrorCode::kInvalid, "--fill is chunk or page");
    options.session.fill = *fill;
  }
  if (request.fault_core) options.session.fault_core = *request.fault_core;
  options.sessions_max = static_cast<uint32_t>(request.sessions);
  TRY(options.validate());
  return options;
}

Result<void> export_vmstate(const Settings& settings, const RestoreRequest& request,
                            Workspace& workspace, const Manifest& manifest, Output& out) {
  ExportOptions options;
  options.threads = settings.config.freeze.threads;
  options.overwrite = request.overwrite;
  TRY(export_images(workspace.catalog().store(), manifest, request.name,
                    {{ImageKind::kVmstate, "", request.vmstate}}, options, out));
  JsonObject event;
  event.set("event", "vmstate").set("path", request.vmstate);
  out.event(event, "vmstate is in " + request.vmstate);
  return {};
}

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

PageServer::Observer observer_of(Output& out) {
  return {[&out](const SessionSummary& summary) {
            JsonObject event;
            event.set("event", "session_started").set("vmm_pid", summary.vmm_pid);
            out.event(event, "session of VMM " + std::to_string(summary.vmm_pid) + " started");
          },
          [&out](const SessionSummary& summary) {
            out.event(ended_event(summary), ended_text(summary));
          }};
}

}  // namespace

Result<void> run_restore(const Settings& settings, const RestoreRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  ASSIGN_OR_RETURN(const PageServerOptions options, server_options(settings, request));
  WorkerOptions workers = settings.config.restore_workers;
  if (request.threads) workers.threads = static_cast<unsigned>(*request.threads);
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  if (!request.vmstate.empty()) {
    TRY(export_vmstate(settings, request, workspace, snapshot.manifest, out));
  }
  ASSIGN_OR_RETURN(const auto image, ResumeImage::make(std::move(snapshot.manifest)));

  ASSIGN_OR_RETURN(auto signals, ServingSignals::watch(settings));
  TierOptions tiers = settings.config.tiers;
  tiers.memory.bytes_max = settings.config.restore_memory_bytes;
  ASSIGN_OR_RETURN(const auto path, ReadPath::open(workspace.catalog().store(), workers, tiers));
  PageServer::Observer observer = observer_of(out);
  observer.stopping = [&path] { path->tiers().interrupt(); };
  ASSIGN_OR_RETURN(const auto server,
                   PageServer::create(request.uffd, image, path->source(), path->workers(), options,
                                      std::move(observer)));
  signals->attach([&] { server->stop(); }, path->tiers());
  JsonObject ready;
  ready.set("event", "ready")
      .set("name", request.name)
      .set("socket", request.uffd)
      .set("manifest", snapshot.target.manifest.hex())
      .set("memory_bytes", image->memory().bytes)
      .set("pid", ::getpid());
  out.event(ready, "ready: " + request.name + ", " + human_bytes(image->memory().bytes) +
                       " of memory, on " + request.uffd);
  const Result<void> outcome = server->run();
  signals.reset();  // before the server it stops
  JsonObject done;
  done.set("event", "tiers").set("tiers", tier_counters(path->tiers()));
  out.event(done, tiers_text(path->tiers()));
  return outcome;
}

}  // namespace thaw
