#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the traces of the lab and the resume benches anew, from real guests.

Each function of the guest image is booted, warmed by one call and snapshot. The snapshot is resumed
twice by a page server that installs page by page, and called once, each time with another input: so
one resume can stand for the recording and the other for the resume that it is to speed up. Written
for each function, in the text formats of image/page_trace.h and image/page_shape.h:

  NAME.shape           the pages of the memory that hold data
  NAME.recorded.trace  the pages of one resume in order of first touch, until the reply was there
  NAME.trace           the same of the other, and besides the first write of each page that was read
                       before: to whoever maps memory privately, that is one more fault

A gap is the guest's own time between two faults, without their service. README.md gets the figures.
Needs QEMU, a guest image (thaw-qemu image) and leave to use userfaultfd.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
QEMU = ROOT / "vmm/qemu"
sys.path[:0] = [str(QEMU), str(QEMU / "guest")]

import functions  # noqa: E402
from page_server import PAGE, Fault, PageServer  # noqa: E402

MEMORY_MIB = 256
WARM_SEED, RECORDED_SEED, MEASURED_SEED = 1, 2, 3


def thaw_qemu(verb: str, *arguments: object) -> dict:
    command = [sys.executable, QEMU / "thaw-qemu", verb, *arguments, "--json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"thaw-qemu {verb} failed: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def call(vm: Path, function: str, seed: int) -> dict:
    request = json.dumps({"function": function, "seed": seed})
    result = thaw_qemu("call", "--vm", vm, "--request", request)
    if not result["reply"]["ok"]:
        sys.exit(f"{function} answers {result['reply']}")
    return result


def snapshot(work: Path, image: Path, function: str) -> Path:
    vm, output = work / "warm", work / "snapshot"
    thaw_qemu("boot", "--vm", vm, "--image", image, "--memory-mib", MEMORY_MIB)
    call(vm, function, WARM_SEED)
    thaw_qemu("snapshot", "--vm", vm, "--output", output)
    return output


def record(
    work: Path, taken: Path, function: str, seed: int, preload: Path, *, see_writes: bool
) -> list[Fault]:
    """The faults of a resume until the reply to its first call."""
    vm, path = work / f"vm{seed}", work / f"pages{seed}.sock"
    server = PageServer(path, taken / "memory", see_writes=see_writes)
    thaw_qemu(
        "resume", "--vm", vm, "--vmstate", taken / "vmstate", "--way", "uffd",
        "--uffd-socket", path, "--preload", preload, "--memory-mib", MEMORY_MIB,
    )  # fmt: skip
    call(vm, function, seed)
    faults = list(server.faults)
    thaw_qemu("quit", "--vm", vm)
    server.hung_up.wait(10)
    server.close()
    if server.error is not None:
        raise server.error
    # Two threads may wait for one page.
    first: dict[tuple[int, bool], Fault] = {}
    for fault in faults:
        first.setdefault((fault.page, fault.again), fault)
    return list(first.values())


def data_pages(memory: Path) -> list[int]:
    zero = bytes(PAGE)
    with memory.open("rb") as file:
        pages = iter(lambda: file.read(PAGE), b"")
        return [number for number, page in enumerate(pages) if page != zero]


def runs_of(pages: list[int]) -> list[tuple[int, int]]:
    """First page and length of each run of ascending pages."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and sum(runs[-1]) == page:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((page, 1))
    return runs


def trace_text(faults: list[Fault], pages: int) -> str:
    lines = [f"thaw trace v1 pages={pages}"]
    for fault in faults:
        gap = f" {fault.gap_ns}" if fault.gap_ns else ""
        lines.append(f"{fault.page} {'w' if fault.write else 'r'}{gap}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, default=ROOT / "build/guest-image")
    parser.add_argument(
        "--preload", type=Path, default=ROOT / "build/release/vmm/qemu/libthaw_uffd_preload.so"
    )
    parser.add_argument("--output", type=Path, default=HERE / "traces")
    parser.add_argument("functions", nargs="*", default=functions.NAMES, metavar="FUNCTION")
    arguments = parser.parse_args()
    pages = (MEMORY_MIB << 20) // PAGE
    for function in arguments.functions:
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="thaw-record-") as scratch:
            work = Path(scratch)
            taken = snapshot(work, arguments.image, function)
            recorded = record(work, taken, function, RECORDED_SEED, arguments.preload, see_writes=False)
            measured = record(
                work, taken, function, MEASURED_SEED, arguments.preload, see_writes=True
            )
            data = data_pages(taken / "memory")
        shape = "".join(f"{page} {count}\n" for page, count in runs_of(data))
        name = str(arguments.output / function)
        Path(f"{name}.shape").write_text(f"thaw shape v1 pages={pages}\n{shape}")
        Path(f"{name}.recorded.trace").write_text(trace_text(recorded, pages))
        Path(f"{name}.trace").write_text(trace_text(measured, pages))
        print(describe(function, data, recorded, measured), flush=True)


def describe(function: str, data: list[int], recorded: list[Fault], measured: list[Fault]) -> str:
    """A row of the table in traces/README.md."""
    touched = {fault.page for fault in measured}
    written = {fault.page for fault in measured if fault.write}
    first_written = sum(fault.write and not fault.again for fault in measured)
    before = {fault.page for fault in recorded}
    return (
        f"| {function} | {len(data)} | {len(touched)} | {len(runs_of(sorted(touched)))} "
        f"| {len(touched - set(data))} | {first_written / len(touched):.2f} "
        f"| {len(written) / len(touched):.2f} "
        f"| {len(touched & before) / len(touched):.3f} "
        f"| {len(touched & before) / len(touched | before):.3f} |"
    )


main()
