// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

void declare_ls(VerbList& verbs) {
  auto [options, request] =
      verbs.add<LsRequest>({"ls", "List the tenant's snapshots. Without --long no key is needed.",
                            "  thaw ls --long web-"},
                           run_ls);
  options.text("PREFIX", request.prefix, kSnapshotType, "Only names that begin so");
  options.flag("-l,--long", request.long_form, "Also sizes, chunks and time, from the manifests");
  options.flag("-q,--quiet", request.quiet, "Names only, one a line");
  options.exclude("--quiet", "--long");
}

void declare_show(VerbList& verbs) {
  auto [options, request] = verbs.add<ShowRequest>(
      {"show", "Show what a snapshot is made of. Reads its manifest, no chunk.",
       "  thaw show web --shared"},
      run_show);
  options.snapshot(request.name, "The snapshot");
  options.flag("--shared", request.shared,
               "Also what it shares with the tenant's other snapshots; reads their manifests");
  options.flag("--working-set", request.working_set,
               "Also what was recorded: pages, runs, chunks, and how the recordings overlap");
  options.file("--trace", request.trace, "Write a recording there as a page trace");
  options.count("--recording", request.recording, 1, kRecordingsMax,
                "Which recording --trace writes, 1 the oldest. Default the newest");
}

void declare_verify(VerbList& verbs) {
  auto [options, request] = verbs.add<VerifyRequest>(
      {"verify",
       "Prove that snapshots are whole. Every chunk is fetched and hashed, every manifest opened. "
       "Names the first object that is damaged; exit code 5 then.",
       "  thaw verify web\n  thaw verify --all --keep-going"},
      run_verify);
  options.texts("NAME", request.names, kSnapshotType, "Snapshots");
  options.flag("--all", request.all, "All snapshots of the tenant; shared chunks once");
  options.flag("--keep-going", request.keep_going, "Look for more damage after the first");
  options.threads(request.threads, "fetch and hash");
}

void declare_export(VerbList& verbs) {
  auto [options, request] = verbs.add<ExportRequest>(
      {"export",
       "Write images of a snapshot as plain files, byte for byte, zero pages as holes. A file "
       "appears whole or not at all.",
       "  thaw export web --memory memory.bin --disk root=root.ext4"},
      run_export);
  options.snapshot(request.name, "The snapshot");
  options.file("--memory", request.memory, "Write guest memory there");
  options.file("--vmstate", request.vmstate, "Write the device state there");
  options.disks(request.disks, "Write the disk of that name there; may be repeated");
  options.flag("--overwrite", request.overwrite, "Replace a regular file that is there");
  options.threads(request.threads, "fetch and decrypt");
}

void declare_rm(VerbList& verbs) {
  auto [options, request] = verbs.add<RmRequest>(
      {"rm", "Remove a snapshot's name. Its chunks stay in the store until they are collected.",
       "  thaw rm web"},
      run_rm);
  options.snapshot(request.name, "The snapshot");
}

}  // namespace

void declare_snapshot_verbs(VerbList& verbs) {
  declare_ls(verbs);
  declare_show(verbs);
  declare_verify(verbs);
  declare_export(verbs);
  declare_rm(verbs);
}

}  // namespace thaw
