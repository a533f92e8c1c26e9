# SPDX-License-Identifier: Apache-2.0
"""Several hosts on one machine: a worker, an origin and six cache nodes, each in its own network namespace.

The origin runs thaw-fake-s3 as slow as an object store is, the nodes run stock memcached, the worker runs
thaw. A generated memory image is frozen into s3://, the zone is warmed, and then VMMs resume without a
pause and compare every byte with the image, while nodes are cut off, killed, slowed, stopped, filled,
restarted empty and exchanged, and the origin is cut off.

Promises, checked in every scenario: no wrong byte, ever; no VMM lost while any tier has its pages; no
read of the origin to speak of while four of five stripes can be had; where no tier has a page the VMM is
ended and thaw says why. One scenario is a canary that must find a wrong byte.

`make build` first. `python3 tools/fleet --check` is for the tests: its exit code is not 0 if a promise was
broken, and it says SKIP where network namespaces cannot be made. Needs root, iproute2 and memcached.
Everything it makes is named after the run and removed at its end, also after Ctrl-C; what a run left that
was killed is removed by the next one.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from fleet import Fleet, Options
from network import FleetError, remove_leftovers, why_not
from row import Row
from scenarios import run_all

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS = (
    f"{'scenario':24} {'restores':>8} {'MiB compared':>12} {'wrong':>5} {'chunks':>6} {'origin':>6} "
    f"{'stripes hit/asked':>17} {'zone hit/degr./miss':>19} {'ms':>5}  note"
)


def say(row: Row):
    counters = ("hits", "degraded", "misses")
    zone = "/".join(str(row.tier("zone", name)) for name in counters) if row.tiers else "-"
    stripes = f"{row.stripes_hit}/{row.stripes_asked}"
    restore_ms = "-" if row.restore_ms is None else f"{row.restore_ms:.0f}"
    print(
        f"{row.scenario:24} {row.restores:>8} {row.bytes_compared / 2**20:>12.0f} {row.wrong_pages:>5} "
        f"{row.chunks:>6} {row.origin_gets:>6} {stripes:>17} {zone:>19} {restore_ms:>5}  {row.note}",
        flush=True,
    )
    for broken in row.broken:
        print(f"  BROKEN: {broken}", flush=True)


def run(options: Options, only: str) -> list[Row]:
    fleet = Fleet(options)
    try:
        fleet.make()
        print(COLUMNS, flush=True)
        return run_all(fleet, only, say)
    finally:
        # Whoever is impatient now would leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        fleet.remove()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a promise is broken")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with TEXT in their name")
    parser.add_argument("--memory-mib", type=int, default=32, help="of the image; default 32")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for needed in Fleet.programs(arguments.build):
        if not needed.exists():
            print(f"fleet: {needed} is missing; run `make build` first", file=sys.stderr)
            return 1
    reason = why_not()
    if reason:
        print(f"fleet: SKIP: {reason}")
        return 0
    options = Options(arguments.build.resolve(), arguments.memory_mib, arguments.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    begin = time.monotonic()
    try:
        removed = remove_leftovers()
        if removed:
            print(f"fleet: removed {removed} leftovers of a run that was killed")
        rows = run(options, arguments.only)
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fleet: interrupted; everything was removed", file=sys.stderr)
        return 128 + signal.SIGINT
    seconds = time.monotonic() - begin
    broken = sum(len(row.broken) for row in rows)
    if arguments.json:
        summary = {"seed": arguments.seed, "seconds": seconds, "broken": broken}
        summary["rows"] = [row.as_json() for row in rows]
        arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
    print(f"fleet: {len(rows)} scenarios, {broken} promises broken, seed {arguments.seed}, {seconds:.0f} s")
    return 1 if arguments.check and broken else 0


sys.exit(main())
