// SPDX-License-Identifier: Apache-2.0
//
// serve_pages: a snapshot's memory served to VMMs on a socket until it is over, with the events
// that it says meanwhile; for the verbs restore and record.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "thaw/base/worker_pool.h"
#include "thaw/cli/interrupt.h"
#include "thaw/cli/output.h"
#include "thaw/cli/settings.h"
#include "thaw/cli/workspace.h"
#include "thaw/resume/page_server.h"
#include "thaw/resume/resume_image.h"

namespace thaw {

struct ServedSnapshot {
  std::string name;
  NameTarget target;
  std::shared_ptr<const ResumeImage> image;
};

struct PageServing {
  std::string socket;
  PageServerOptions server;
  WorkerOptions workers;
  Interrupt::Others signals;  // besides those of every verb that serves
  /// Called when a signal stops it, before the sessions hear of it; on any thread.
  std::function<void()> on_stop;
  /// Called as a session has ended, on the serving thread.
  std::function<void(const SessionSummary&)> on_session_end;
  /// Called when the last session has ended.
  std::function<void()> on_served;
};

/// Says "ready", the sessions, and the tiers' counters at the end. Errors of PageServer::run() and
/// of what it needs.
Result<void> serve_pages(const Settings& settings, Workspace& workspace,
                         const ServedSnapshot& snapshot, const PageServing& serving, Output& out);

}  // namespace thaw
