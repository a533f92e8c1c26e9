// SPDX-License-Identifier: Apache-2.0
//
// thaw freeze --parent: which of the three sources of a child's memory was asked for, and what
// became of it.
#pragma once

#include "thaw/base/result.h"
#include "thaw/cli/output.h"
#include "thaw/cli/settings.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/freeze/snapshot_writer.h"

namespace thaw {

/// kInvalid if the request's options do not go together; touches nothing.
Result<void> check_child_request(const FreezeRequest& request);

/// Freezes the child and reports it. Errors of freeze_child() and of the source.
Result<FreezeResult> freeze_child_job(Workspace& workspace, const FreezeRequest& request,
                                      const FreezeOptions& options, Output& out);

}  // namespace thaw
