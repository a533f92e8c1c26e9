// SPDX-License-Identifier: Apache-2.0
//
// serve_mount: the tenant's snapshots mounted until it is over, with the events that it says
// meanwhile; for the verbs mount and record.
#pragma once

#include <functional>
#include <string>

#include "thaw/cli/interrupt.h"
#include "thaw/cli/output.h"
#include "thaw/cli/settings.h"
#include "thaw/cli/workspace.h"
#include "thaw/mount/snapshot_mount.h"

namespace thaw {

struct MountServing {
  std::string directory;
  MountOptions options;
  Interrupt::Others signals;  // besides those of every verb that serves
  /// Called when a signal stops it, before the mount hears of it; on any thread.
  std::function<void()> on_stop;
  /// Called when it is unmounted.
  std::function<void()> on_served;
};

/// Says "mounted" and "unmounted". Errors of SnapshotMount and of what it needs.
Result<void> serve_mount(const Settings& settings, Workspace& workspace,
                         const MountServing& serving, Output& out);

}  // namespace thaw
