// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include "thaw/base/name.h"
#include "thaw/cli/export_images.h"
#include "thaw/cli/recording_job.h"
#include "thaw/cli/serve_mount.h"
#include "thaw/cli/serve_pages.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/store/stored_working_set.h"

namespace thaw {
namespace {

/// The VM's driver says that the guest has done what it was resumed for.
constexpr int kEndSignal = SIGUSR1;

Result<RecorderOptions> recorder_options(const Settings& settings, const RecordRequest& request) {
  if (request.uffd.empty() == request.mount.empty()) {
    return fail(ErrorCode::kInvalid, "record takes either --uffd SOCKET or --mount DIR");
  }
  RecorderOptions options = settings.config.record;
  if (request.quiet_ms) options.quiet_ms = *request.quiet_ms;
  if (request.limit_pages) options.pages_max = *request.limit_pages;
  if (request.limit_s) options.time_max_s = *request.limit_s;
  TRY(options.validate());
  return options;
}

Interrupt::Others end_signal(Recorder& recorder) {
  return {{kEndSignal, [&recorder] { recorder.stop(RecordEnd::kTold); }}};
}

RecordEnd end_of(const SessionSummary& summary) {
  const bool in_order =
      summary.end == SessionEnd::kVmmExited || summary.end == SessionEnd::kComplete;
  return in_order ? RecordEnd::kGuestLeft : RecordEnd::kAbandoned;
}

/// Page by page: what a fault would bring besides its page would not be seen to be touched.
Result<void> record_by_uffd(const Settings& settings, const std::string& socket,
                            Workspace& workspace, ServedSnapshot snapshot, Recorder& recorder,
                            RecordingJob& job, Output& out) {
  PageServing serving;
  serving.socket = socket;
  serving.server = settings.config.restore;
  serving.server.sessions_max = 1;
  serving.server.session.strategy = Strategy::kOnDemand;
  serving.server.session.prefault = Prefault::kNone;
  serving.server.session.fill = Fill::kPage;
  serving.server.session.recorder = &recorder;
  serving.workers = settings.config.restore_workers;
  serving.signals = end_signal(recorder);
  serving.on_stop = [&] { recorder.stop(RecordEnd::kAbandoned); };
  serving.on_session_end = [&](const SessionSummary& summary) { recorder.stop(end_of(summary)); };
  Result<void> recorded;
  serving.on_served = [&] {
    recorder.stop(RecordEnd::kAbandoned);  // there may have been no session
    recorded = job.finish();
  };
  TRY(serve_pages(settings, workspace, snapshot, serving, out));
  return recorded;
}

Result<void> record_by_mount(const Settings& settings, const std::string& directory,
                             Workspace& workspace, const ManifestId& manifest, Recorder& recorder,
                             RecordingJob& job, Output& out) {
  MountServing serving;
  serving.directory = directory;
  serving.options = settings.config.mount;
  serving.options.on_memory_read = [&recorder, manifest](const ManifestId& read, PageRun pages) {
    if (!recorder.active() || read != manifest) return;
    recorder.touch(pages, /*write=*/false, Recorder::Clock::now());
  };
  serving.signals = end_signal(recorder);
  serving.on_stop = [&] { recorder.stop(RecordEnd::kAbandoned); };
  Result<void> recorded;
  serving.on_served = [&] {
    recorder.stop(RecordEnd::kGuestLeft);
    recorded = job.finish();
  };
  TRY(serve_mount(settings, workspace, serving, out));
  return recorded;
}

}  // namespace

Result<void> run_record(const Settings& settings, const RecordRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  ASSIGN_OR_RETURN(const RecorderOptions options, recorder_options(settings, request));
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  Catalog& catalog = workspace.catalog();
  ASSIGN_OR_RETURN(OpenedSnapshot snapshot, open_snapshot(catalog, workspace.keys(), request.name));
  const NameTarget target = snapshot.target;
  const Image* const memory = snapshot.manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return fail(ErrorCode::kInvalid,
                "snapshot " + quote(request.name) + " has no memory, so nothing can be recorded");
  }
  const uint64_t page_count = memory->map.page_count();
  if (!request.replace) {
    // Before a VM runs for nothing.
    const auto former = open_working_set(catalog, workspace.keys(), target, page_count);
    if (!former) {
      return fail(Error(former.error())
                      .with_context("the former recordings of snapshot " + quote(request.name) +
                                    " cannot be read; --replace starts anew"));
    }
  }
  if (!request.vmstate.empty()) {
    const ExportOptions exporting{.threads = settings.config.freeze.threads,
                                  .overwrite = request.overwrite};
    TRY(export_vmstate(catalog.store(), snapshot.manifest, request.name, request.vmstate, exporting,
                       out));
  }

  Recorder recorder(page_count, options);
  RecordingJob job({catalog, workspace.keys(), request.name, target, page_count, request.replace},
                   recorder, out);
  if (!request.mount.empty()) {
    return record_by_mount(settings, request.mount, workspace, target.manifest, recorder, job, out);
  }
  ASSIGN_OR_RETURN(const auto image, ResumeImage::make(std::move(snapshot.manifest)));
  return record_by_uffd(settings, request.uffd, workspace, {request.name, target, image}, recorder,
                        job, out);
}

}  // namespace thaw
