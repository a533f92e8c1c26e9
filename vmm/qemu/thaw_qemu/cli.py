# SPDX-License-Identifier: Apache-2.0
"""The command line: one verb an invocation."""

import argparse
import json
import signal
import sys
from pathlib import Path

import record_traces

from . import guest_image, lab_guest, vm
from .failure import Failure
from .measure import Measure, measure

_ABOUT = """\
Boots a small Linux guest with a Python function in QEMU, snapshots it warm, and resumes it with its
memory from a file, a mount or a page server. Uses KVM where the processor virtualises, else
emulates."""

_IMAGE = """\
Builds the guest's kernel and initramfs from Debian 12 packages (apt-get download; nothing is
installed). Does nothing when DIR holds an image of this version of thaw-qemu already. The same
packages give the same bytes.

Some functions need more than the image has: matmul and imports need numpy, image needs pil, node
needs node. --with adds that; the guest then boots slower and may need more memory."""

_IMAGES = """\
Builds every image that the functions need: DIR/guest-image, and for each extra of --with
DIR/guest-image-EXTRA. As `thaw-qemu image` does it; `thaw lab build` runs this."""

_TRACES = """\
Records what the lab replays: boots, warms and snapshots a guest of each function, resumes it three
times by a page server that sees each page, and writes NAME.shape, NAME.recorded.trace, NAME.trace
and NAME.other.trace. `thaw lab trace` runs this. Needs leave to use userfaultfd. Without --json it
prints the rows of the table in the traces' README.md.

With --guests it keeps each function's snapshot, for `thaw-qemu measure`, in a folder GUESTS/NAME:
memory (pages of zeros are holes), vmstate, guest.json (what the calls must answer, and the SHA-256 of
every file) and the traces once more. A folder appears whole, in place of an older one."""

_BOOT = """\
Boots the image and returns when its function is ready. VM becomes the VM's folder: memory (the
guest's, shared with QEMU), serial.sock, qmp.sock, qemu.pid, qemu.log, vm.json. QEMU runs on until
quit or snapshot."""

_CALL = """\
Sends a request to the VM's function over the serial console, prints each reply and its time. A
request is a JSON object: {"orders": N, "seed": S} has the function make its document, {"document":
[...]} brings it along. sha256 in the reply depends on the request alone; calls and boot_id tell
which warm process answered."""

_SNAPSHOT = """\
Stops a booted VM, writes SNAPDIR/memory (raw guest memory) and SNAPDIR/vmstate (QEMU's device
state), and ends the VM. SNAPDIR appears complete and on disk; when anything fails it does not
appear, and the VM runs on."""

_RESUME = """\
Starts a new QEMU from a snapshot's memory and vmstate; prints the time from the start of QEMU to
the guest running.

ways of --way:
  file     maps the memory file privately; pages come as the guest touches them. The file may be on
           a FUSE mount that lets QEMU open it for reading and writing; it is never written.
  present  the same, all pages brought in before the guest runs: the floor of any invocation time
           (--preload)
  uffd     a page server on --uffd-socket serves every page (--preload). The memory file is not
           opened and need not exist; --memory-mib tells the size of the guest."""

_MEASURE = """\
Resumes a guest that `thaw-qemu traces --guests` kept, makes one of the calls that were recorded and
checks that the reply is right and this very warm process's; or, with --verify, compares all of its
memory, before it runs, with the snapshot's. Then the VM ends. Prints times in milliseconds:

  start_ms        from the start of QEMU until it stands ready to load the device state: its memory is
                  mapped then, all there with --way present, handed to the page server with uffd, and
                  else untouched
  load_ms         from the command to load the device state until the guest runs
  resume_ms       start_ms and load_ms, as `thaw-qemu resume` has it
  call_ms         from the request to its reply
  loaded_call_ms  from the command to load the device state to the reply
  total_ms        start_ms and loaded_call_ms

and, on the monotonic clock, what they are made of (started_ns, ready_ns, loading_ns, loaded_ns,
running_ns, asked_ns, replied_ns); then of QEMU, from loading_ns to the reply, its page faults
(minor_faults, major_faults) and its CPU time (cpu_ms; total_cpu_ms since its start); of the guest's
memory at the reply rss_bytes, pss_bytes and private_bytes. A wrong reply or page is a failure with
"corrupt": true."""

_QUIT = """\
Ends the VM's QEMU, by force if it does not end in a few seconds, and removes its sockets and
memory. A VM that does not run is only cleaned up."""

_ON_SYSTEM_ERROR = "check that file, its permissions and the free space of its file system"


def _on_terminate(*_: object) -> None:
    # Once: a second one would interrupt what this one has the program clean up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    signal.signal(signal.SIGTERM, _on_terminate)
    arguments = _parser().parse_args()
    try:
        for result in arguments.run(arguments):
            print(json.dumps(result) if arguments.json else arguments.text(result), flush=True)
    except (Failure, OSError) as error:
        failure = error if isinstance(error, Failure) else Failure(str(error), _ON_SYSTEM_ERROR)
        if arguments.json:
            said = {"error": str(failure), "remedy": failure.remedy, "corrupt": failure.corrupt}
            print(json.dumps(said), flush=True)
        print(f"thaw-qemu: {failure}\nthaw-qemu: to do: {failure.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _text(result: dict) -> str:
    return "  ".join(
        f"{name} {json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in result.items()
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thaw-qemu", description=_ABOUT)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    image = _verb(verbs, "image", "build the guest's kernel and initramfs", _IMAGE)
    image.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the image; made if missing",
    )
    image.add_argument(
        "--with",
        dest="extras",
        type=lambda text: text.split(","),
        default=[],
        metavar="LIST",
        help=f"what the image has besides, with commas: {', '.join(sorted(guest_image.EXTRAS))}",
    )
    image.set_defaults(run=lambda a: [guest_image.build(a.output, a.extras)])

    images = _verb(verbs, "images", "build every image that the functions need", _IMAGES)
    images.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="gets a folder for each image"
    )
    images.add_argument(
        "--with",
        dest="extras",
        type=lambda text: [word for word in text.split(",") if word],
        metavar="LIST",
        help="only for these extras, with commas (default: all)",
    )
    images.set_defaults(run=lambda a: guest_image.build_each(a.output, a.extras))

    traces = _verb(verbs, "traces", "record the functions' page traces", _TRACES)
    traces.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder made by `thaw-qemu images`",
    )
    traces.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="gets the traces; made if missing"
    )
    traces.add_argument(
        "--preload", type=Path, required=True, metavar="LIB", help="libthaw_uffd_preload.so"
    )
    traces.add_argument(
        "--function",
        dest="functions",
        action="append",
        default=[],
        metavar="NAME",
        help="record this one; may be repeated (default: all)",
    )
    traces.add_argument(
        "--guests", type=Path, metavar="GUESTS", help="keep the snapshots there; made if missing"
    )
    traces.set_defaults(
        run=lambda a: record_traces.record(a.images, a.output, a.functions, a.preload, a.guests),
        text=record_traces.table_row,
    )

    boot = _verb(verbs, "boot", "boot a guest to a ready function", _BOOT)
    _vm(boot)
    boot.add_argument(
        "--image", type=Path, required=True, metavar="DIR", help="folder made by `thaw-qemu image`"
    )
    boot.add_argument(
        "--memory-mib",
        type=int,
        default=vm.MEMORY_MIB_DEFAULT,
        metavar="N",
        help="guest memory (default %(default)s)",
    )
    _timeout(boot)
    boot.set_defaults(run=lambda a: [vm.boot(a.vm, a.image, a.memory_mib, a.timeout_s)])

    call = _verb(verbs, "call", "call the guest's function", _CALL)
    _vm(call)
    call.add_argument(
        "--request", type=_request, default={}, metavar="JSON", help="a JSON object (default {})"
    )
    call.add_argument(
        "--repeat", type=_positive, default=1, metavar="N", help="times to send it (default 1)"
    )
    _timeout(call)
    call.set_defaults(run=lambda a: vm.call(a.vm, a.request, a.repeat, a.timeout_s))

    snapshot = _verb(verbs, "snapshot", "turn a booted VM into a snapshot", _SNAPSHOT)
    _vm(snapshot)
    snapshot.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="SNAPDIR",
        help="folder to make; must not exist",
    )
    _timeout(snapshot)
    snapshot.set_defaults(run=lambda a: [vm.snapshot(a.vm, a.output, a.timeout_s)])

    resume = _verb(verbs, "resume", "resume a snapshot", _RESUME)
    _vm(resume)
    resume.add_argument(
        "--memory",
        type=Path,
        metavar="FILE",
        help="the snapshot's memory; --way uffd can do without",
    )
    resume.add_argument(
        "--vmstate", type=Path, required=True, metavar="FILE", help="the snapshot's device state"
    )
    resume.add_argument(
        "--way", choices=vm.WAYS, required=True, help="how the guest gets its memory, see above"
    )
    resume.add_argument(
        "--uffd-socket", type=Path, metavar="SOCKET", help="the page server's Unix socket"
    )
    resume.add_argument("--preload", type=Path, metavar="LIB", help="libthaw_uffd_preload.so")
    resume.add_argument(
        "--memory-mib",
        type=int,
        metavar="N",
        help=f"guest memory (default: the file's, else {vm.MEMORY_MIB_DEFAULT})",
    )
    _timeout(resume)
    resume.set_defaults(
        run=lambda a: [
            vm.resume(
                a.vm,
                vm.Resumption(
                    vmstate=a.vmstate,
                    way=a.way,
                    memory=a.memory,
                    memory_mib=a.memory_mib,
                    preload=a.preload,
                    uffd_socket=a.uffd_socket,
                    timeout_s=a.timeout_s,
                ),
            )
        ]
    )

    _measure_verb(verbs)

    quit_vm = _verb(verbs, "quit", "end a VM", _QUIT)
    _vm(quit_vm)
    quit_vm.set_defaults(run=lambda a: [vm.quit_vm(a.vm)])
    return parser


def _measure_verb(verbs) -> None:
    verb = _verb(verbs, "measure", "resume a guest of the lab once, and time it", _MEASURE)
    verb.add_argument(
        "--guest", type=Path, required=True, metavar="GUESTS/NAME", help="the guest's folder"
    )
    verb.add_argument(
        "--way", choices=vm.WAYS, required=True, help="how it gets its memory, as in `resume`"
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--call", choices=lab_guest.CALLS, help="make this call")
    what.add_argument("--verify", action="store_true", help="compare its memory instead")
    verb.add_argument(
        "--memory",
        type=Path,
        metavar="FILE",
        help="the same memory elsewhere, as on a mount (default: the guest's own)",
    )
    verb.add_argument(
        "--uffd-socket", type=Path, metavar="SOCKET", help="the page server's Unix socket"
    )
    verb.add_argument("--preload", type=Path, metavar="LIB", help="libthaw_uffd_preload.so")
    verb.add_argument(
        "--vm",
        type=Path,
        metavar="VM",
        help="the VM's folder; its qemu.log stays there (default: one that goes away)",
    )
    verb.add_argument(
        "--follow-input",
        action="store_true",
        help='print {"held": true} when QEMU stands ready, and go on when a line comes on standard '
        "input; end when that does",
    )
    _timeout(verb)
    verb.set_defaults(
        run=lambda a: measure(
            Measure(
                guest=a.guest,
                how=vm.Resumption(
                    vmstate=a.guest / "vmstate",
                    way=a.way,
                    memory=a.memory,
                    preload=a.preload,
                    uffd_socket=a.uffd_socket,
                    timeout_s=a.timeout_s,
                ),
                call=None if a.verify else a.call,
                vm_path=a.vm,
                follow_input=a.follow_input,
            )
        )
    )


def _verb(verbs, name: str, summary: str, about: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=summary,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0; 1 on failure (stderr says why and what to do); 2 on wrong usage.",
    )
    verb.add_argument(
        "--json", action="store_true", help="print results, and failures too, as JSON on stdout"
    )
    verb.set_defaults(text=_text)
    return verb


def _vm(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--vm", type=Path, required=True, metavar="VM", help="the VM's folder")


def _timeout(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--timeout-s",
        type=_positive_number,
        default=vm.TIMEOUT_S_DEFAULT,
        metavar="S",
        help="longest wait for the guest or QEMU to answer (default %(default)g)",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1e6")
    return value


def _request(text: str) -> dict:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return request
