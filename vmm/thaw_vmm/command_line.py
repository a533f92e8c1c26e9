# SPDX-License-Identifier: Apache-2.0
"""What the command lines of all drivers have in common: how a verb is run and fails, and the verbs
that thaw runs, `measure` and `traces`."""

import argparse
import json
import signal
import sys
from pathlib import Path

from . import lab_guest, record_traces
from .failure import Failure
from .measure import Measure, measure
from .vmm import TIMEOUT_S_DEFAULT, Resumption, Vmm

_TRACES = """\
Records what the lab replays: boots, warms and snapshots a guest of each function, resumes it three
times by a page server that sees each page, and writes NAME.shape, NAME.recorded.trace, NAME.trace
and NAME.other.trace. `thaw lab trace` runs this. Needs leave to use userfaultfd. Without --json it
prints the rows of the table in the traces' README.md.

With --guests it keeps each function's snapshot, for the verb measure, in a folder GUESTS/NAME: memory
(pages of zeros are holes), vmstate, guest.json (what the calls must answer, and the SHA-256 of every
file) and the traces once more. A folder appears whole, in place of an older one."""

_MEASURE = """\
Resumes a guest that the verb traces kept with --guests, makes one of the calls that were recorded and
checks that the reply is right and this very warm process's; or, with --verify, compares all of its
memory, before it runs, with the snapshot's. Then the VM ends. Prints times in milliseconds:

  start_ms        from the start of the VMM until it stands ready to load the device state, with its
                  memory untouched or, with --way present, all there
  load_ms         from the command to load the device state until the guest runs
  resume_ms       start_ms and load_ms
  call_ms         from the request to its reply
  loaded_call_ms  from the command to load the device state to the reply
  total_ms        start_ms and loaded_call_ms

and, on the monotonic clock, what they are made of (started_ns, ready_ns, loading_ns, loaded_ns,
running_ns, asked_ns, replied_ns); then of the VMM, from loading_ns to the reply, its page faults
(minor_faults, major_faults) and its CPU time (cpu_ms; total_cpu_ms since its start); of the guest's
memory at the reply rss_bytes, pss_bytes and private_bytes. A wrong reply or page is a failure with
"corrupt": true."""

_ON_SYSTEM_ERROR = "check that file, its permissions and the free space of its file system"


def _on_terminate(*_: object) -> None:
    # Once: a second one would interrupt what this one has the program clean up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def run(parser: argparse.ArgumentParser, program: str) -> int:
    """Runs the verb of the command line, prints its results; the exit status."""
    signal.signal(signal.SIGTERM, _on_terminate)
    arguments = parser.parse_args()
    try:
        for result in arguments.run(arguments):
            print(json.dumps(result) if arguments.json else arguments.text(result), flush=True)
    except (Failure, OSError) as error:
        failure = error if isinstance(error, Failure) else Failure(str(error), _ON_SYSTEM_ERROR)
        if arguments.json:
            said = {"error": str(failure), "remedy": failure.remedy, "corrupt": failure.corrupt}
            print(json.dumps(said), flush=True)
        print(f"{program}: {failure}\n{program}: to do: {failure.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def add_verb(verbs, name: str, summary: str, about: str) -> argparse.ArgumentParser:
    """A verb with what every one has: --json, --help and how it exits."""
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


def add_timeout(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--timeout-s",
        type=_positive_number,
        default=TIMEOUT_S_DEFAULT,
        metavar="S",
        help="longest wait for the guest or the VMM to answer (default %(default)g)",
    )


def add_traces(verbs, vmm: Vmm) -> None:
    verb = add_verb(verbs, "traces", "record the functions' page traces", _TRACES)
    verb.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder made by `thaw lab build`",
    )
    verb.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="gets the traces; made if missing"
    )
    _preload(verb, vmm, required=True)
    verb.add_argument(
        "--function",
        dest="functions",
        action="append",
        default=[],
        metavar="NAME",
        help="record this one; may be repeated (default: all)",
    )
    verb.add_argument(
        "--guests", type=Path, metavar="GUESTS", help="keep the snapshots there; made if missing"
    )
    verb.set_defaults(
        run=lambda a: record_traces.record(
            vmm, a.images, a.output, a.functions, a.preload, a.guests
        ),
        text=record_traces.table_row,
    )


def add_measure(verbs, vmm: Vmm) -> None:
    verb = add_verb(verbs, "measure", "resume a guest of the lab once, and time it", _MEASURE)
    verb.add_argument(
        "--guest", type=Path, required=True, metavar="GUESTS/NAME", help="the guest's folder"
    )
    verb.add_argument(
        "--way", choices=vmm.ways, required=True, help="how it gets its memory"
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
    _preload(verb, vmm, required=False)
    verb.add_argument(
        "--vm",
        type=Path,
        metavar="VM",
        help="the VM's folder; the VMM's log stays there (default: one that goes away)",
    )
    verb.add_argument(
        "--follow-input",
        action="store_true",
        help='print {"held": true} when it stands ready to load, and go on when a line comes on '
        "standard input; end when that does",
    )
    add_timeout(verb)
    verb.set_defaults(
        run=lambda a: measure(
            vmm,
            Measure(
                guest=a.guest,
                how=Resumption(
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
            ),
        )
    )


def _preload(verb: argparse.ArgumentParser, vmm: Vmm, *, required: bool) -> None:
    """The option, where the VMM knows userfaultfd only through the library."""
    if vmm.preloads:
        verb.add_argument(
            "--preload",
            type=Path,
            required=required,
            metavar="LIB",
            help="libthaw_uffd_preload.so",
        )
    else:
        verb.set_defaults(preload=None)


def _text(result: dict) -> str:
    return "  ".join(
        f"{name} {json.dumps(value) if isinstance(value, dict) else value}"
        for name, value in result.items()
    )


def _positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1e6")
    return value
