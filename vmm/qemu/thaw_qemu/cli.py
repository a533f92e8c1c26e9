# SPDX-License-Identifier: Apache-2.0
"""The command line: one verb an invocation."""

import argparse
import json
from pathlib import Path

from thaw_vmm import guest_image
from thaw_vmm.command_line import add_measure, add_timeout, add_traces, add_verb, run
from thaw_vmm.vmm import Resumption

from . import vm
from .lab_vmm import Qemu

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

_QUIT = """\
Ends the VM's QEMU, by force if it does not end in a few seconds, and removes its sockets and
memory. A VM that does not run is only cleaned up."""

_VMM = Qemu()


def main() -> int:
    return run(_parser(), _VMM.driver)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thaw-qemu", description=_ABOUT)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    image = add_verb(verbs, "image", "build the guest's kernel and initramfs", _IMAGE)
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

    images = add_verb(verbs, "images", "build every image that the functions need", _IMAGES)
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

    add_traces(verbs, _VMM)

    boot = add_verb(verbs, "boot", "boot a guest to a ready function", _BOOT)
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
    add_timeout(boot)
    boot.set_defaults(run=lambda a: [vm.boot(a.vm, a.image, a.memory_mib, a.timeout_s)])

    call = add_verb(verbs, "call", "call the guest's function", _CALL)
    _vm(call)
    call.add_argument(
        "--request", type=_request, default={}, metavar="JSON", help="a JSON object (default {})"
    )
    call.add_argument(
        "--repeat", type=_positive, default=1, metavar="N", help="times to send it (default 1)"
    )
    add_timeout(call)
    call.set_defaults(run=lambda a: vm.call(a.vm, a.request, a.repeat, a.timeout_s))

    snapshot = add_verb(verbs, "snapshot", "turn a booted VM into a snapshot", _SNAPSHOT)
    _vm(snapshot)
    snapshot.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="SNAPDIR",
        help="folder to make; must not exist",
    )
    add_timeout(snapshot)
    snapshot.set_defaults(run=lambda a: [vm.snapshot(a.vm, a.output, a.timeout_s)])

    resume = add_verb(verbs, "resume", "resume a snapshot", _RESUME)
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
    add_timeout(resume)
    resume.set_defaults(
        run=lambda a: [
            vm.resume(
                a.vm,
                Resumption(
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

    add_measure(verbs, _VMM)

    quit_vm = add_verb(verbs, "quit", "end a VM", _QUIT)
    _vm(quit_vm)
    quit_vm.set_defaults(run=lambda a: [vm.quit_vm(a.vm)])
    return parser


def _vm(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--vm", type=Path, required=True, metavar="VM", help="the VM's folder")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _request(text: str) -> dict:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return request
