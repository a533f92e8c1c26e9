// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/log.h"
#include "thaw/base/name.h"
#include "thaw/cli/export_images.h"
#include "thaw/cli/serve_pages.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/store/stored_working_set.h"

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
    if (!fill) return fail(ErrorCode::kInvalid, "--fill is auto, page, around or chunk");
    options.session.fill = *fill;
  }
  if (request.placement) {
    const auto placement = parse_placement_choice(*request.placement);
    if (!placement) {
      return fail(ErrorCode::kInvalid, std::string("--placement is one of ") + kPlacementWords);
    }
    options.session.placement.placement = *placement;
  }
  if (request.fault_cores) {
    ASSIGN_OR_RETURN(options.session.placement.cores, CoreSet::parse(*request.fault_cores));
  }
  options.sessions_max = static_cast<uint32_t>(request.clones.value_or(request.sessions));
  if (request.clones && options.plain_bytes_max == 0) {
    options.plain_bytes_max = kPlainBytesMaxDefault;
  }
  TRY(options.validate());
  return options;
}

// Without a working set a VM resumes as well, only slower; a strategy that needs one says so.
std::optional<WorkingSet> working_set_of(Workspace& workspace, const OpenedSnapshot& snapshot) {
  const Image* const memory = snapshot.manifest.find(ImageKind::kMemory);
  if (memory == nullptr) return std::nullopt;
  Result<std::optional<WorkingSet>> set = open_working_set(
      workspace.catalog(), workspace.keys(), snapshot.target, memory->map.page_count());
  if (set) return std::move(*set);
  log_warning("the snapshot is resumed without its working set: " + set.error().message +
              "; record it again");
  return std::nullopt;
}

}  // namespace

Result<void> run_restore(const Settings& settings, const RestoreRequest& request, Output& out) {
  TRY(validate_name("snapshot name", request.name));
  ASSIGN_OR_RETURN(const PageServerOptions server, server_options(settings, request));
  WorkerOptions workers = settings.config.restore_workers;
  if (request.threads) workers.threads = static_cast<unsigned>(*request.threads);
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  ASSIGN_OR_RETURN(OpenedSnapshot snapshot,
                   open_snapshot(workspace.catalog(), workspace.keys(), request.name));
  if (!request.vmstate.empty()) {
    const ExportOptions options{.threads = settings.config.freeze.threads,
                                .overwrite = request.overwrite};
    TRY(export_vmstate(workspace.catalog().store(), snapshot.manifest, request.name,
                       request.vmstate, options, out));
  }
  std::optional<WorkingSet> set;
  if (uses_working_set(server.session.strategy, snapshot.manifest)) {
    set = working_set_of(workspace, snapshot);
  }
  ASSIGN_OR_RETURN(const auto image,
                   ResumeImage::make(std::move(snapshot.manifest), std::move(set)));

  return serve_pages(settings, workspace, {request.name, snapshot.target, image},
                     {.socket = request.uffd, .server = server, .workers = workers}, out);
}

}  // namespace thaw
