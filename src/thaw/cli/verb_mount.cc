// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/serve_mount.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {

Result<void> run_mount(const Settings& settings, const MountRequest& request, Output& out) {
  MountOptions options = settings.config.mount;
  if (request.threads) options.threads = static_cast<unsigned>(*request.threads);
  options.allow_other |= request.allow_other;
  options.isolate_writers |= request.isolate_writers;
  TRY(options.validate());
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));
  TRY(workspace.catalog().active_root());

  return serve_mount(settings, workspace, {.directory = request.directory, .options = options},
                     out);
}

}  // namespace thaw
