// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

void declare_layout_of_freeze(VerbOptions& options, FreezeRequest& request) {
  options.heading("Layout");
  options.text("--working-set", request.working_set, kSnapshotType,
               "Lay the memory out hot at once, by what was recorded with this snapshot of the "
               "same function and memory size");
  options.share(request.share);
  options.flag("--page-digests", request.page_digests,
               "Keep a digest of each page, so that a child can be frozen from a full memory "
               "without reading this snapshot. Else the config");
}

void declare_child_of_freeze(VerbOptions& options, FreezeRequest& request) {
  options.heading("A snapshot from an earlier one");
  options.text("--parent", request.parent, kSnapshotType,
               "What did not change since this snapshot is taken from it. With --diff, with "
               "--memory (compared page by page) or with --live. Disks that are not given are "
               "the parent's");
  options.file("--diff", request.diff,
               "A diff of the memory as Firecracker writes it: holes are unchanged pages");
  options.text("--writer", request.writer, "NAME",
               "Who wrote the diff, for instance firecracker-1.14.2; some versions write "
               "broken diffs of memories above 3 GiB");
  options.count(
      "--live", 1, INT32_MAX, [&request](uint64_t pid) { request.live_pid = pid; },
      "Read the memory from this VMM's process; the VM must be paused", "PID");
  options.texts("--region", request.regions, "ADDRESS:BYTES:OFFSET",
                "Where a part of the memory is in that process; may be repeated");
  options.flag("--no-balloon", request.no_balloon,
               "That VM gives no memory back (no balloon, no free page reporting), so what its "
               "userfault memory lacks is the parent's");
}

void declare_freeze(VerbList& verbs) {
  auto [options, request] = verbs.add<FreezeRequest>(
      {"freeze",
       "Make a snapshot from the files that a VMM wrote. The VM must be paused. Chunks that the "
       "store has are not written again; holes and zero pages cost nothing.",
       "  thaw freeze web --memory memory.bin --vmstate vm.state --disk root=root.ext4"},
      run_freeze);
  options.snapshot(request.name, "The snapshot's name");
  options.file("--memory", request.memory, "Guest memory, a whole number of pages");
  options.file("--vmstate", request.vmstate, "The VMM's device state");
  options.disks(request.disks, "A disk image; may be repeated");
  options.size("--chunk-size", request.chunk_bytes,
               "A power of two from 16KiB to 4MiB; default 512KiB");
  options.threads(request.threads, "read and seal");
  declare_layout_of_freeze(options, request);
  declare_child_of_freeze(options, request);
  options.heading("");
  options.flag("--replace", request.replace, "Take the name over if it is taken");
  options.flag("--prime-zone", request.prime_zone,
               "Then fill the zone's cache servers with it, as `thaw warm --zone` does");
  options.texts("--annotate", request.annotations, "KEY=VALUE",
                "A note kept in the snapshot; may be repeated");
}

void declare_relayout(VerbList& verbs) {
  auto [options, request] = verbs.add<RelayoutRequest>(
      {"relayout",
       "Lay out a snapshot's memory anew. Hot: the recorded working set first, in stages of first "
       "touch, so that a resume reads little else. Linear: back to the order of address. Writes "
       "only chunks that changed; the old manifest stays until it is collected, and the name "
       "moves at the end. Says what it costs in sharing with other snapshots.",
       "  thaw record web --uffd /run/web.uffd\n"
       "  thaw relayout web --layout hot"},
      run_relayout);
  options.snapshot(request.name, "The snapshot");
  options.choice(
      "--layout", {"hot", "linear"},
      [&layout = request.layout](const std::string& word) {
        layout = word == "hot" ? Layout::kHot : Layout::kLinear;
      },
      "Which; default hot");
  options.share(request.share);
  options.threads(request.threads, "read and seal");
}

void declare_pack(VerbList& verbs) {
  auto [options, request] = verbs.add<PackRequest>(
      {"pack",
       "Copy a snapshot's recorded pages into chunks of their own, as some restore strategies "
       "want them. Reap: in order of first touch. Faasnap: in groups of 1,024 pages by first "
       "touch, sorted by address, small gaps filled. Replaces the pack of that kind.",
       "  thaw pack web --kind reap"},
      run_pack);
  options.snapshot(request.name, "The snapshot");
  options.choice(
      "--kind", {"reap", "faasnap"},
      [&kind = request.kind](const std::string& word) {
        kind = word == "reap" ? PackKind::kReap : PackKind::kFaasnap;
      },
      "For which strategy; default reap");
  options.count("--gap", request.gap_pages, 0, 1024,
                "Faasnap: fill gaps of up to so many pages; default 0, as for remote "
                "storage; 32 was published for a local disk");
  options.share(request.share);
  options.threads(request.threads, "read and seal");
}

}  // namespace

void declare_making_verbs(VerbList& verbs) {
  declare_freeze(verbs);
  declare_relayout(verbs);
  declare_pack(verbs);
}

}  // namespace thaw
