// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

void declare_warm(VerbList& verbs) {
  auto [options, request] = verbs.add<WarmRequest>(
      {"warm",
       "Fill the tiers with a snapshot's chunks ahead of its first restore. Without an option all "
       "tiers that the config names. What is there already is not fetched again.",
       "  thaw warm web --zone"},
      run_warm);
  options.snapshot(request.name, "The snapshot");
  options.flag("--local", request.local, "Fill this worker's disk cache");
  options.flag("--zone", request.zone, "Fill the zone's cache servers");
}

void declare_scrub(VerbList& verbs) {
  auto [options, request] = verbs.add<ScrubRequest>(
      {"scrub",
       "Verify what the tiers keep by name and drop what is damaged. The local disk: every slot; "
       "it must not be in use. The zone: every stripe of the tenant's snapshots; damaged and "
       "missing "
       "ones are rewritten where enough others are there. Without an option both.",
       "  thaw scrub --zone"},
      run_scrub);
  options.flag("--local", request.local, "This worker's disk cache only");
  options.flag("--zone", request.zone, "The zone's cache servers only");
}

}  // namespace

void declare_tier_verbs(VerbList& verbs) {
  VerbList tier =
      verbs.add_group({"tier", "Look at the tiers that chunks come from.", "  thaw tier status"});
  tier.add({"status",
            "Show what is configured and whether it answers: memory, local disk, zone, origin. "
            "Changes nothing and disturbs no running process. Exit code 0 if the origin answers.",
            "  thaw tier status --json"},
           run_tier_status);
  declare_warm(verbs);
  declare_scrub(verbs);
  verbs.add({"doctor",
             "Check the machine and the configuration: what was found and what to do. Exit code 1 "
             "if something fails; a warning is no failure.",
             "  thaw doctor --store dir:/var/lib/thaw"},
            run_doctor);
}

}  // namespace thaw
