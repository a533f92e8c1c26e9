// SPDX-License-Identifier: Apache-2.0
//
// What the verbs are called, what they say of themselves and which options they have. What they do
// is in verbs.h.
#pragma once

#include "thaw/cli/verb_list.h"

namespace thaw {

// Each adds its verbs in the order in which --help lists them.

/// init, key.
void declare_setup_verbs(VerbList& verbs);
/// freeze, relayout, pack.
void declare_making_verbs(VerbList& verbs);
/// ls, show, verify, export, rm.
void declare_snapshot_verbs(VerbList& verbs);
/// restore, record, mount.
void declare_serving_verbs(VerbList& verbs);
/// tier, warm, scrub, doctor.
void declare_tier_verbs(VerbList& verbs);
/// lab.
void declare_lab_verbs(VerbList& verbs);

}  // namespace thaw
