// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

void declare_restore(VerbList& verbs) {
  auto [options, request] = verbs.add<RestoreRequest>(
      {"restore",
       "Serve a snapshot's memory to VMMs through userfaultfd, in Firecracker's protocol. Says "
       "when it listens, when a session starts, and how it ended. Ends after --sessions, or on "
       "SIGINT or SIGTERM, which end VMMs whose memory is not complete and count as success. The "
       "exit code is not 0 if a session failed.",
       "  thaw restore web --uffd /run/web.uffd --vmstate /run/web.state\n"
       "then load the snapshot with mem_backend {backend_type: Uffd, backend_path: "
       "/run/web.uffd}"},
      run_restore);
  options.snapshot(request.name, "The snapshot");
  options.file("--uffd", request.uffd, "Listen on this Unix socket");
  options.require("--uffd");
  options.choice("--strategy", {"auto", "on-demand", "reap", "faasnap", "chunks", "hot"},
                 request.strategy,
                 "What is loaded ahead of the guest. on-demand: nothing; reap: the recorded "
                 "pages, before the guest runs; faasnap: the same in groups, while it runs; "
                 "chunks: the recorded chunks in order of first access; hot: the hot chunks of "
                 "a snapshot that was laid out for it. auto, the default: hot, else chunks, "
                 "else on-demand, by what the snapshot has");
  options.choice("--prefault", {"none", "all"}, request.prefault,
                 "none: only what the strategy loads and the guest touches; all: then "
                 "everything else, after which the VM needs nobody. Default none");
  options.choice("--fill", {"auto", "page", "around", "chunk"}, request.fill,
                 "What a fault installs. page: its page; around: and its neighbours, 64 KiB; "
                 "chunk: all of its chunk. auto, the default: chunk where nothing is loaded "
                 "ahead, else around");
  options.count("--sessions", request.sessions, 0, 1'000'000'000,
                "End after so many VMMs; 0: serve until a signal. Default 1");
  options.count("--clones", request.clones, 1, 1'000'000'000,
                "Instead of --sessions, for so many VMMs of one snapshot: what the strategy "
                "loads is kept as plaintext once the first has decrypted it, in memory that "
                "is out of core dumps, locked, and wiped at the end");
  options.choice("--placement", {"auto", "none", "cores", "follow"}, request.placement,
                 "Where the thread that takes the faults runs. none: anywhere; cores: on those of "
                 "--fault-cores; follow: on the core of the thread that faults, else as cores. "
                 "auto, the default: cores if there are some, else follow");
  options.text("--fault-cores,--fault-core", request.fault_cores, "CORES",
               "Cores for that thread, best the vCPUs': 2,3 or 2-5. The other threads keep off "
               "them if any core is left");
  options.file("--vmstate", request.vmstate, "Export the device state there first");
  options.flag("--overwrite", request.overwrite, "Replace a vmstate file that is there");
  options.threads(request.threads, "fetch, decrypt and install");
}

void declare_record(VerbList& verbs) {
  auto [options, request] = verbs.add<RecordRequest>(
      {"record",
       "Resume one VM and record which pages of its memory it touches, in order, so that later "
       "resumes load them ahead. Send SIGUSR1 to this process when the VM has done what it was "
       "resumed for, say its first response; or leave it to quiet or a limit. The recording is "
       "then written beside the snapshot, with those of former runs, and the VM is served until "
       "it ends. With --uffd it is served as by restore; with --mount the snapshot is a file as "
       "by mount, and reads are recorded. SIGINT and SIGTERM end all; before the recording has "
       "ended they abandon it.",
       "  thaw record web --uffd /run/web.uffd --vmstate /run/web.state\n"
       "  thaw record web --mount /mnt/thaw --quiet-ms 500"},
      run_record);
  options.snapshot(request.name, "The snapshot");
  options.file("--uffd", request.uffd, "Listen on this Unix socket");
  options.text("--mount", request.mount, kDirectoryType, "Mount on this empty directory");
  options.count("--quiet-ms", request.quiet_ms, 0, 3'600'000,
                "End when no new page came for so long after one; 0: never. Else the "
                "config, else 0");
  options.count("--limit-pages", request.limit_pages, 1, kTouchesMax, "End with so many pages");
  options.count("--limit-s", request.limit_s, 1, kRecordSecondsMax,
                "End so long after the resume began. Else the config, else 60");
  options.flag("--replace", request.replace, "Forget the former recordings");
  options.file("--vmstate", request.vmstate, "Export the device state there first");
  options.flag("--overwrite", request.overwrite, "Replace a vmstate file that is there");
}

void declare_mount(VerbList& verbs) {
  auto [options, request] = verbs.add<MountRequest>(
      {"mount",
       "Mount the tenant's snapshots, read-only, in the foreground. The files are "
       "DIR/NAME/memory, DIR/NAME/vmstate, DIR/NAME/disks/DISK. Ends on SIGINT, SIGTERM or an "
       "unmount. Plaintext "
       "stays in the kernel's page cache while mounted.",
       "  thaw mount /mnt/thaw"},
      run_mount);
  options.text("DIR", request.directory, kDirectoryType, "An empty directory");
  options.require("DIR");
  options.flag("--allow-other", request.allow_other, "Let every user read, not only this one");
  options.flag("--isolate-writers", request.isolate_writers,
               "A file opened for writing is not cached and cannot be mapped shared");
  options.count("--threads", request.threads, 1, 256,
                "Requests served at once. Else the config, else 8");
}

}  // namespace

void declare_serving_verbs(VerbList& verbs) {
  declare_restore(verbs);
  declare_record(verbs);
  declare_mount(verbs);
}

}  // namespace thaw
