#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole of thaw on a real virtual machine: boots a Linux microVM with a Python function, warms it,
snapshots it, freezes the snapshot into an encrypted store, deletes the plain files, resumes the VM from
the store through userfaultfd and through the mount, and checks each time that it is the same warm VM
that answers.

`make demo` runs it. `--check` is for the tests: one round, fewer words. Everything it makes is under
build/demo, made anew each time; the guest image is kept in build/guest-image."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from serving import Server, ServingError

ROOT = Path(__file__).resolve().parent.parent
THAW = ROOT / "build/release/thaw"
QEMU = ROOT / "vmm/qemu/thaw-qemu"
PRELOAD = ROOT / "build/release/vmm/qemu/libthaw_uffd_preload.so"
IMAGE = ROOT / "build/guest-image"
DEMO = ROOT / "build/demo"
MEMORY_MIB = 256
WARM_CALLS = 5
REQUEST = {"orders": 3000, "seed": 7}


class DemoError(Exception):
    pass


def run(*command, text_on_failure: str) -> list[dict]:
    """The JSON lines that a command prints."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"{text_on_failure}\n{done.stderr.strip() or done.stdout.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def qemu(*arguments) -> list[dict]:
    return run(QEMU, *arguments, "--json", text_on_failure=f"thaw-qemu {arguments[0]} failed:")


def thaw(*arguments) -> dict:
    common = ("--store", f"dir:{DEMO / 'store'}", "--keyring", DEMO / "keys", "--json")
    printed = run(THAW, *arguments, *common, text_on_failure=f"thaw {arguments[0]} failed:")
    return printed[-1] if printed else {}


def serve(*arguments) -> Server:
    return Server(THAW, *arguments, "--store", f"dir:{DEMO / 'store'}", "--keyring", DEMO / "keys")


class Demo:
    def __init__(self, rounds: int, quiet: bool):
        self.rounds = rounds
        self.quiet = quiet
        self.snapshot = DEMO / "snapshot"
        self.warm: dict = {}
        self.rows: list[dict] = []
        self.vms: list[Path] = []
        self.servers: list[Server] = []

    def say(self, text: str):
        if not self.quiet:
            print(f"-- {text}", flush=True)

    def call(self, vm: Path) -> dict:
        return qemu("call", "--vm", vm, "--request", json.dumps(REQUEST))[0]

    def check_answer(self, way: str, call: dict):
        """The answer is the warm VM's: same result, same boot, and its next call."""
        reply = call["reply"]
        wanted = {**self.warm, "calls": WARM_CALLS + 1}
        for field in ("ok", "sha256", "revenue_cents", "boot_id", "calls"):
            if reply.get(field) != wanted[field]:
                raise DemoError(
                    f"{way}: the resumed VM answers {field}={reply.get(field)!r}, the warm VM's is "
                    f"{wanted[field]!r}: this is not the same VM"
                )

    def boot_and_snapshot(self) -> tuple[float, float]:
        vm = DEMO / "vm-warm"
        self.vms.append(vm)
        self.say(f"boot a Linux microVM of {MEMORY_MIB} MiB under QEMU")
        boot = qemu("boot", "--vm", vm, "--image", IMAGE, "--memory-mib", MEMORY_MIB)[0]
        self.say(f"booted in {boot['boot_ms']:.0f} ms ({boot['accelerator']}); warm it")
        for _ in range(WARM_CALLS):
            warm = self.call(vm)
        self.warm = warm["reply"]
        if not self.warm["ok"] or self.warm["calls"] != WARM_CALLS:
            raise DemoError(f"the warm VM does not answer as it should: {self.warm}")
        self.say("snapshot it")
        qemu("snapshot", "--vm", vm, "--output", self.snapshot)
        return boot["boot_ms"], warm["call_ms"]

    def freeze(self):
        self.say("freeze the snapshot into an encrypted store")
        thaw("init")
        stats = thaw(
            *("freeze", "function", "--memory", self.snapshot / "memory"),
            *("--vmstate", self.snapshot / "vmstate"),
        )
        again = thaw(
            *("freeze", "function-again", "--memory", self.snapshot / "memory"),
            *("--vmstate", self.snapshot / "vmstate"),
        )
        if again["chunks_created"] != 0:
            raise DemoError("freezing the same snapshot again uploaded chunks")
        thaw("verify", "function")
        zero_share = 1 - stats["data_bytes"] / stats["bytes_total"]
        self.say(
            f"{stats['bytes_total'] / 2**20:.0f} MiB, {zero_share * 100:.0f} % zero: "
            f"{stats['chunks_created']} chunks, {stats['bytes_written'] / 2**20:.0f} MiB written; "
            "a second freeze wrote none"
        )

    def measure(self, way: str, vm: Path, resume: list, served=lambda: {}):
        """One resume and one call; `served` yields what the server counted."""
        self.vms.append(vm)
        resumed = qemu("resume", "--vm", vm, *resume)[0]
        first = self.call(vm)
        self.check_answer(way, first)
        faults = process_faults(resumed["pid"])
        qemu("quit", "--vm", vm)
        row = {
            "way": way,
            "resume_ms": resumed["resume_ms"],
            "call_ms": first["call_ms"],
            "faults": faults,
            "chunks": None,
        }
        row.update(served())
        self.rows.append(row)

    def plain_ways(self):
        for number in range(self.rounds):
            for way, name in (("file", "plain private mapping"), ("present", "all memory present")):
                self.measure(
                    name,
                    DEMO / f"vm-{way}-{number}",
                    ["--memory", self.snapshot / "memory", "--vmstate", self.snapshot / "vmstate"]
                    + ["--way", way]
                    + (["--preload", PRELOAD] if way == "present" else []),
                )

    def thaw_uffd(self, number: int):
        socket = DEMO / f"pages-{number}.sock"
        vmstate = DEMO / f"vmstate-{number}"
        server = serve("restore", "function", "--uffd", socket, "--vmstate", vmstate)
        self.servers.append(server)
        server.wait_for("ready")

        def served() -> dict:
            summary = server.finish("session_ended", stop=False)
            if summary["end"] != "vmm_exited":
                raise DemoError(f"the page server's session ended as {summary['end']}")
            return {"faults": summary["faults"], "chunks": summary["chunks"]}

        self.measure(
            "thaw uffd",
            DEMO / f"vm-uffd-{number}",
            ["--vmstate", vmstate, "--way", "uffd", "--memory-mib", MEMORY_MIB]
            + ["--uffd-socket", socket, "--preload", PRELOAD],
            served,
        )

    def thaw_mount(self, number: int):
        mountpoint = DEMO / f"mount-{number}"
        mountpoint.mkdir()
        server = serve("mount", mountpoint)
        self.servers.append(server)
        server.wait_for("mounted")

        def served() -> dict:
            return {"chunks": server.finish("unmounted", stop=True)["chunks"]}

        self.measure(
            "thaw mount",
            DEMO / f"vm-mount-{number}",
            ["--memory", mountpoint / "function/memory", "--way", "file"]
            + ["--vmstate", mountpoint / "function/vmstate"],
            served,
        )

    def clean(self):
        for vm in self.vms:
            subprocess.run([QEMU, "quit", "--vm", vm], capture_output=True, check=False)
        for server in self.servers:
            server.kill()
        for mountpoint in DEMO.glob("mount-*"):
            if os.path.ismount(mountpoint):
                subprocess.run(["umount", "--lazy", mountpoint], check=False)

    def run(self):
        boot_ms, warm_ms = self.boot_and_snapshot()
        self.plain_ways()
        self.freeze()
        self.say("delete the plain files; from here on there is only the store")
        shutil.rmtree(self.snapshot)
        self.say("resume through userfaultfd and through the mount")
        for number in range(self.rounds):
            self.thaw_uffd(number)
            self.thaw_mount(number)
        self.table(boot_ms, warm_ms)

    def table(self, boot_ms: float, warm_ms: float):
        print(f"\nboot {boot_ms:.0f} ms, warm call {warm_ms:.0f} ms; medians of {self.rounds}\n")
        print(f"{'way':24} {'resume ms':>10} {'first call ms':>14} {'pages faulted':>14} {'chunks read':>12}")
        for way in dict.fromkeys(row["way"] for row in self.rows):
            rows = [row for row in self.rows if row["way"] == way]

            def median(field: str, rows=rows) -> str:
                values = [row[field] for row in rows]
                return "-" if None in values else f"{statistics.median(values):.0f}"

            print(
                f"{way:24} {median('resume_ms'):>10} {median('call_ms'):>14} "
                f"{median('faults'):>14} {median('chunks'):>12}"
            )
        print("\nEvery resumed VM answered as the warm one: same result, same boot, its next call.")
        print("Pages faulted: served by thaw for uffd, faults of the QEMU process for the others.")


def process_faults(pid: int) -> int:
    """Minor and major faults of a process so far (proc(5), fields 10 and 12)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[7]) + int(fields[9])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="one round, for the tests")
    arguments = parser.parse_args()
    for needed in (THAW, PRELOAD):
        if not needed.exists():
            print(f"demo: {needed} is missing; run `make build` first", file=sys.stderr)
            return 1
    if not arguments.check:
        print("-- build the guest image from Debian packages (kept in build/guest-image)", flush=True)
    begin = time.monotonic()
    demo = Demo(rounds=1 if arguments.check else 3, quiet=arguments.check)
    try:
        qemu("image", "--output", IMAGE)
        for stale in DEMO.glob("mount-*") if DEMO.exists() else ():
            if os.path.ismount(stale):
                subprocess.run(["umount", "--lazy", stale], check=False)
        shutil.rmtree(DEMO, ignore_errors=True)
        DEMO.mkdir(parents=True)
        demo.run()
    except (DemoError, ServingError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        demo.clean()
    print(f"demo: done in {time.monotonic() - begin:.0f} s")
    return 0


sys.exit(main())
