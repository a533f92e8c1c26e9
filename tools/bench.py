#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: runs thaw-bench (paired comparisons in one process), adds what needs whole programs (the
resident memory of freeze, real virtual machines, peers that Debian has), and writes
build/bench/summary.json: {"name": {"ratio": r, "floor": ..., "ours": ...}}, and of the virtual machines
build/bench/real_vm.json. Nothing else should run on the machine meanwhile."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import real_vm
from serving import ServingError

ROOT = Path(__file__).resolve().parent.parent
THAW = ROOT / "build/release/thaw"
THAW_BENCH = ROOT / "build/release/src/thaw/bench/thaw-bench"
OUTPUT = ROOT / "build/bench"
MIB = 1 << 20
FREEZE_RSS_MAX_MIB = 256
ROUNDS = 3
VM_ROUNDS = 3


def write_random(path: Path, mebibytes: int):
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(MIB))


def timed(command: list, env: dict | None = None) -> tuple[float, float]:
    """Seconds and the largest resident memory, in MiB, of a command that must succeed."""
    begin = time.monotonic()
    with subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command[0]} failed: {process.stderr.read().decode()}")
    return seconds, usage.ru_maxrss / 1024


def thaw_freeze(work: Path, image: Path) -> tuple[float, float]:
    store, keys = work / "store", work / "keys"
    common = ["--store", f"dir:{store}", "--keyring", keys, "--json"]
    timed([THAW, "init", *common])
    result = timed([THAW, "freeze", "bench", "--memory", image, *common])
    shutil.rmtree(store)
    shutil.rmtree(keys)
    return result


def freeze_rss(work: Path) -> dict:
    """Resident memory of freeze for an image of four times the limit."""
    image = work / "large"
    write_random(image, 4 * FREEZE_RSS_MAX_MIB)
    rss = thaw_freeze(work, image)[1]
    image.unlink()
    return {
        "ratio": rss / FREEZE_RSS_MAX_MIB,
        "ratio_low": rss / FREEZE_RSS_MAX_MIB,
        "ratio_high": rss / FREEZE_RSS_MAX_MIB,
        "floor": FREEZE_RSS_MAX_MIB,
        "ours": rss,
        "unit": "MiB",
        "target": 1,
        "target_is": "at most",
        "met": rss <= FREEZE_RSS_MAX_MIB,
        "what": f"resident memory of freeze, image of {4 * FREEZE_RSS_MAX_MIB} MiB",
    }


def show(name: str, row: dict):
    print(
        f"{name:32} {row['ratio']:8.2f}  ({row['ratio_low']:5.2f} to {row['ratio_high']:5.2f})  <= "
        f"{row['target']:<5.2f} {'met' if row['met'] else 'MISS':4} {row['ours']:12.2f} "
        f"{row['floor']:12.2f} {row['unit']:5} {row['what']}"
    )


def real_vms(rounds: int) -> dict:
    """The comparisons in QEMU; empty, with a reason, where there is none."""
    reason = real_vm.missing()
    if reason:
        print(f"real_vm: SKIP: {reason}")
        return {}
    # A real disk, for the local tier.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="thaw-bench-") as folder:
        try:
            results, table = real_vm.run(Path(folder), rounds)
        except (real_vm.RealVmError, ServingError) as error:
            sys.exit(f"real_vm: {error}")
    (OUTPUT / "real_vm.json").write_text(json.dumps(table, indent=2) + "\n")
    rows = {row.pop("name"): row for row in results}
    for name, row in rows.items():
        show(name, row)
    for what, share in table["shared_chunk_bytes"].items():
        print(
            f"  chunk bytes shared by {what}: linear {share['linear']:.2f}, hot {share['hot']:.2f}"
        )
    return rows


def casync(work: Path, image: Path) -> tuple[float, float]:
    store = work / "casync"
    result = timed(["casync", "make", f"--store={store}.castr", f"{store}.caibx", image])
    shutil.rmtree(f"{store}.castr")
    return result


def restic(work: Path, image: Path) -> tuple[float, float]:
    repository = work / "restic"
    env = {**os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": str(work / "restic-cache")}
    timed(["restic", "-r", repository, "init"], env)
    result = timed(["restic", "-r", repository, "backup", image], env)
    shutil.rmtree(repository)
    return result


def borg(work: Path, image: Path) -> tuple[float, float]:
    repository = work / "borg"
    env = {**os.environ, "BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": str(work / "borg-home")}
    timed(["borg", "init", "-e", "repokey", repository], env)
    result = timed(["borg", "create", "--compression", "none", f"{repository}::a", image], env)
    shutil.rmtree(repository)
    return result


def peers(work: Path, mebibytes: int) -> dict:
    """GB/s of whole commands that store the same file, each tool in turn."""
    image = work / "image"
    write_random(image, mebibytes)
    tools = {"thaw freeze": thaw_freeze}
    for name, function in (("casync", casync), ("restic", restic), ("borg", borg)):
        if shutil.which(name):
            tools[name] = function
    speeds: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(ROUNDS):
        for name, function in tools.items():
            speeds[name].append(mebibytes * MIB / function(work, image)[0] / 1e9)
    return {name: statistics.median(values) for name, values in speeds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--real-vm-only", action="store_true", help="only the virtual machines")
    parser.add_argument("--vm-rounds", type=int, default=VM_ROUNDS, help=f"default {VM_ROUNDS}")
    parser.add_argument("--no-peers", action="store_true", help="leave casync, restic and borg out")
    arguments = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    if arguments.real_vm_only:
        real_vms(arguments.vm_rounds)
        return 0
    summary_path = OUTPUT / "summary.json"
    subprocess.run([THAW_BENCH, "--json", summary_path], check=True)
    summary = json.loads(summary_path.read_text())
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="thaw-bench-") as folder:
        work = Path(folder)
        row = summary["freeze_resident_memory"] = freeze_rss(work)
        show("freeze_resident_memory", row)
        summary.update(real_vms(arguments.vm_rounds))
        if not arguments.no_peers:
            speeds = peers(work, 256)
            print("\nWhole commands that store 256 MiB of random bytes in memory, GB/s (median of 3):")
            for name, speed in speeds.items():
                print(f"  {name:12} {speed:6.2f}")
                if name != "thaw freeze":
                    summary[f"freeze_over_{name}"] = {
                        "ratio": speeds["thaw freeze"] / speed,
                        "floor": speed,
                        "ours": speeds["thaw freeze"],
                        "unit": "GB/s",
                        "what": f"thaw freeze over {name}, whole commands; no target",
                    }
    summary_path.write_text(json.dumps(summary, indent=2) + "\n")
    missed = [name for name, row in summary.items() if row.get("met") is False]
    print(f"\nwritten to {summary_path.relative_to(ROOT)}" + (f"; missed: {', '.join(missed)}" if missed else ""))
    return 0


sys.exit(main())
