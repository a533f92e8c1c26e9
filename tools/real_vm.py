# SPDX-License-Identifier: Apache-2.0
"""Real virtual machines for `make bench`: the functions of the QEMU guest, each warmed, snapshot,
frozen, recorded and laid out hot. Then, in turns, the first call after a resume

  hot      from thaw, its chunks in the encrypted local tier on a disk, nothing of it in memory
  file     over a private mapping of the plain memory file, which is in the page cache
  present  with all memory there before the guest runs: the floor

and what the hot layout costs in deduplication. Every reply is compared with what the function answers on
the host."""

import json
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

from serving import Server

ROOT = Path(__file__).resolve().parent.parent
THAW = ROOT / "build/release/thaw"
QEMU = ROOT / "vmm/qemu/thaw-qemu"
PRELOAD = ROOT / "build/release/vmm/qemu/libthaw_uffd_preload.so"
IMAGE = ROOT / "build/guest-image"
FUNCTIONS = ("json", "html", "aes", "compress", "text", "graph")
WAYS = ("hot", "file", "present")
MEMORY_MIB = 256
WARM_SEED, RECORDED_SEED, MEASURED_SEED = 1, 2, 3


class RealVmError(Exception):
    pass


def missing() -> str:
    """What this machine lacks; empty if nothing."""
    if shutil.which("qemu-system-x86_64") is None:
        return "no qemu-system-x86_64"
    return "" if PRELOAD.exists() else f"no {PRELOAD.name}; run `make build` first"


def qemu(verb: str, *arguments) -> dict:
    return _run(QEMU, verb, *arguments, "--json")


def _run(*command) -> dict:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RealVmError(f"{command[0].name} {command[1]} failed: {done.stderr.strip()}")
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {}


class RealVms:
    """Works in `work`, which is on a disk."""

    def __init__(self, work: Path, functions=FUNCTIONS):
        self.work = work
        self.functions = functions
        self.count = 0
        self.vms: list[Path] = []
        self.servers: list[Server] = []
        self.digests: dict[str, str] = {}  # by request
        (work / "thaw.toml").write_text(
            f'store = "dir:{work / "store"}"\nkeyring = "{work / "keys"}"\n'
            f'[local]\npath = "{work / "chunks"}"\nsize = "2GiB"\n'
        )

    def thaw(self, *arguments) -> dict:
        return _run(THAW, *arguments, "--config", self.work / "thaw.toml", "--json")

    def serve(self, *arguments) -> Server:
        server = Server(THAW, *arguments, "--config", self.work / "thaw.toml")
        self.servers.append(server)
        return server

    def new_vm(self) -> Path:
        self.count += 1
        self.vms.append(self.work / f"vm{self.count}")
        return self.vms[-1]

    def call(self, vm: Path, function: str, seed: int) -> dict:
        request = json.dumps({"function": function, "seed": seed})
        called = qemu("call", "--vm", vm, "--request", request)
        wanted = self.wanted_digest(request)
        if called["reply"].get("sha256") != wanted:
            raise RealVmError(f"{function} answers {called['reply']}; its sha256 must be {wanted}")
        return called

    def wanted_digest(self, request: str) -> str:
        """What the function answers on the host."""
        if request not in self.digests:
            said = subprocess.run(
                [sys.executable, QEMU.parent.parent / "guest/function.py"],
                input=request + "\n", capture_output=True, text=True, check=True,
            )  # fmt: skip
            self.digests[request] = json.loads(said.stdout.splitlines()[-1])["sha256"]
        return self.digests[request]

    def snapshot(self, name: str, function: str) -> Path:
        vm, output = self.new_vm(), self.work / f"snapshot-{name}"
        qemu("boot", "--vm", vm, "--image", IMAGE, "--memory-mib", MEMORY_MIB)
        self.call(vm, function, WARM_SEED)
        qemu("snapshot", "--vm", vm, "--output", output)
        return output

    def freeze(self, name: str, taken: Path, tenant: str):
        self.thaw(
            *("freeze", name, "--memory", taken / "memory", "--vmstate", taken / "vmstate"),
            *("--tenant", tenant),
        )

    def resume(self, server: Server, vmstate: Path, path: Path) -> tuple[Path, dict]:
        server.wait_for("ready")
        vm = self.new_vm()
        resumed = qemu(
            *("resume", "--vm", vm, "--vmstate", vmstate, "--way", "uffd"),
            *("--uffd-socket", path, "--preload", PRELOAD, "--memory-mib", MEMORY_MIB),
        )
        return vm, resumed

    def record(self, name: str, function: str, taken: Path, tenant: str):
        path = self.work / f"record-{name}.sock"
        server = self.serve("record", name, "--uffd", path, "--tenant", tenant)
        vm, _ = self.resume(server, taken / "vmstate", path)
        self.call(vm, function, RECORDED_SEED)
        server.signal(signal.SIGUSR1)
        qemu("quit", "--vm", vm)
        server.finish("recorded", stop=False)

    def shared(self, names, tenant: str) -> float:
        """Median over the snapshots of the share of their chunks' bytes that another one has."""
        shares = [
            self.thaw("show", name, "--shared", "--tenant", tenant)["shared"]["share"]
            for name in names
        ]
        return statistics.median(shares)

    def lay_out(self, names, tenant: str) -> dict:
        """Has the snapshots laid out hot; what they share before and after."""
        linear = self.shared(names, tenant)
        for name in names:
            self.thaw("relayout", name, "--layout", "hot", "--tenant", tenant)
        return {"linear": linear, "hot": self.shared(names, tenant)}

    def prepare(self) -> dict:
        """Every function's snapshot in the local tier, laid out hot; the cost in deduplication."""
        qemu("image", "--output", IMAGE)
        cost = {}
        for tenant in ("different", "same"):
            self.thaw("init", "--tenant", tenant)
        for function in self.functions:
            taken = self.snapshot(function, function)
            self.freeze(function, taken, "different")
            self.record(function, function, taken, "different")
        cost["different functions"] = self.lay_out(self.functions, "different")
        # One function, booted twice.
        function = self.functions[0]
        twins = (f"{function}-1", f"{function}-2")
        for name in twins:
            taken = self.snapshot(name, function)
            self.freeze(name, taken, "same")
            self.record(name, function, taken, "same")
        cost["one function, two boots"] = self.lay_out(twins, "same")
        for function in self.functions:
            self.thaw("warm", function, "--tenant", "different")
        return cost

    def first_call(self, way: str, function: str) -> dict:
        """Milliseconds of a resume and of the first call after it."""
        taken = self.work / f"snapshot-{function}"
        server = None
        if way == "hot":
            path = self.work / f"resume{self.count}.sock"
            server = self.serve(
                *("restore", function, "--uffd", path, "--strategy", "hot"),
                *("--tenant", "different"),
            )
            vm, resumed = self.resume(server, taken / "vmstate", path)
        else:
            (taken / "memory").read_bytes()  # into the page cache
            vm = self.new_vm()
            preload = ("--preload", PRELOAD) if way == "present" else ()
            resumed = qemu(
                *("resume", "--vm", vm, "--memory", taken / "memory"),
                *("--vmstate", taken / "vmstate", "--way", way, *preload),
            )
        called = self.call(vm, function, MEASURED_SEED)
        qemu("quit", "--vm", vm)
        figures = {"call_ms": called["call_ms"], "resume_ms": resumed["resume_ms"]}
        if server is not None:
            ended = server.finish("session_ended", stop=False)
            if ended["end"] != "vmm_exited":
                raise RealVmError(f"the session of {function} ended as {ended['end']}")
            figures["faults"] = ended["faults"]
        return figures

    def clean(self):
        for vm in self.vms:
            subprocess.run([QEMU, "quit", "--vm", vm], capture_output=True, check=False)
        for server in self.servers:
            server.kill()


def comparison(name: str, target: float, what: str, samples: dict, baseline: str, field: str) -> dict:
    """The median over the functions of the median of their rounds' ratios."""
    ratios, ours, floors = [], [], []
    for ways in samples.values():
        pairs = list(zip(ways["hot"], ways[baseline], strict=True))
        ratios.append(statistics.median(a[field] / b[field] for a, b in pairs))
        ours.append(statistics.median(a[field] for a, _ in pairs))
        floors.append(statistics.median(b[field] for _, b in pairs))
    ratio = statistics.median(ratios)
    return {
        "name": name,
        "ratio": ratio,
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "floor": statistics.median(floors),
        "ours": statistics.median(ours),
        "unit": "ms",
        "target": target,
        "target_is": "at most",
        "met": ratio <= target,
        "what": what,
    }


def run(work: Path, rounds: int, functions=FUNCTIONS) -> tuple[list[dict], dict]:
    """The comparisons; and the table by function and way, with the cost in deduplication."""
    vms = RealVms(work, functions)
    try:
        cost = vms.prepare()
        samples: dict = {function: {way: [] for way in WAYS} for function in functions}
        # The first round does not count.
        for number in range(rounds + 1):
            for function in functions:
                for way in WAYS if number % 2 else reversed(WAYS):
                    figures = vms.first_call(way, function)
                    if number > 0:
                        samples[function][way].append(figures)
    finally:
        vms.clean()
    table = {
        function: {
            way: {
                field: statistics.median(round_[field] for round_ in figures)
                for field in figures[0]
            }
            for way, figures in ways.items()
        }
        for function, ways in samples.items()
    }
    results = [
        comparison(
            "real_vm_present", 1.10, "first call in QEMU, hot over all memory present",
            samples, "present", "call_ms",
        ),
        comparison(
            "real_vm_file", 1.00, "first call in QEMU, hot over a private mapping, page cache hot",
            samples, "file", "call_ms",
        ),
    ]  # fmt: skip
    return results, {"functions": table, "shared_chunk_bytes": cost}
