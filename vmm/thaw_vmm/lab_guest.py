# SPDX-License-Identifier: Apache-2.0
"""A guest of the lab: a function's snapshot with what its calls must answer, in a folder of its own.

  memory      raw guest memory; pages of zeros are holes
  vmstate     the VMM's device state
  guest.json  the VMM (if none: qemu), the function, its memory's size, boot_id and calls of the warm
              process, seed, input and expected sha256 of each call, the pages in which the VMM itself
              writes when it loads, SHA-256 of all the other files
  NAME.*      the traces of this very snapshot (record_traces.py)
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import durable
from .failure import Failure

FORMAT = "thaw guest v1"
CALLS = ("recorded", "measured", "other")
_NO_GUEST = (
    "make it: thaw lab build --output images, then thaw lab trace --images images --output traces "
    "--guests {guests} --function {name} --vmm {vmm}"
)


@dataclass(frozen=True)
class Call:
    """A call that the lab makes, and the sha256 of its reply in whichever guest."""

    seed: int
    input: str
    sha256: str

    def request(self, function: str) -> dict:
        return {"function": function, "seed": self.seed, "input": self.input}


@dataclass(frozen=True)
class LabGuest:
    path: Path
    vmm: str
    function: str
    memory_mib: int
    boot_id: str
    calls_made: int  # that the warm process has answered
    calls: Mapping[str, Call]  # by name
    sha256: Mapping[str, str]  # by file
    written_by_vmm: frozenset[int]  # pages in which the VMM itself writes when it loads

    @property
    def memory(self) -> Path:
        return self.path / "memory"

    @property
    def vmstate(self) -> Path:
        return self.path / "vmstate"

    def check_reply(self, call: Call, reply: dict) -> None:
        """The reply is this warm process's, to its next call, and right."""
        wanted = {
            "ok": True,
            "sha256": call.sha256,
            "boot_id": self.boot_id,
            "calls": self.calls_made + 1,
        }
        for name, value in wanted.items():
            if reply.get(name) != value:
                raise Failure(
                    f"the guest resumed from {self.path} answers {name}={reply.get(name)!r}, where "
                    f"a right one answers {value!r}; its reply: {json.dumps(reply)[:400]}",
                    "its memory or its state is wrong: verify what it was resumed from",
                    corrupt=True,
                )


def load(path: Path, vmm: str) -> LabGuest:
    """The guest of that VMM in the folder. Its memory is not read."""
    remedy = _NO_GUEST.format(guests=path.parent, name=path.name, vmm=vmm)
    try:
        value = json.loads((path / "guest.json").read_text())
        if value["format"] != FORMAT:
            raise ValueError(f"its format is {value['format']!r}, not {FORMAT!r}")
        calls = {name: Call(**value["inputs"][name]) for name in CALLS}
        guest = LabGuest(
            path=path,
            vmm=str(value.get("vmm", "qemu")),
            function=str(value["function"]),
            memory_mib=int(value["memory_mib"]),
            boot_id=str(value["boot_id"]),
            calls_made=int(value["calls"]),
            calls=calls,
            sha256=dict(value["sha256"]),
            written_by_vmm=frozenset(value.get("written_by_vmm", ())),
        )
    except FileNotFoundError as error:
        raise Failure(f"there is no guest {path}: it has no guest.json", remedy) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"cannot read {path / 'guest.json'}: {error!r}", remedy) from error
    if guest.vmm != vmm:
        raise Failure(
            f"{path} is a guest of {guest.vmm}, whose device state {vmm} cannot load",
            f"give one of {vmm}, or {remedy}, in a folder of its own",
        )
    if not guest.memory.is_file() or guest.memory.stat().st_size != guest.memory_mib << 20:
        raise Failure(f"{guest.memory} is no file of {guest.memory_mib} MiB", remedy)
    return guest


@contextlib.contextmanager
def written(guests: Path, function: str) -> Iterator[Path]:
    """A folder to fill, which becomes the guest's when the block succeeds: complete and on disk, in
    place of one that is there. When it fails, or is interrupted, the old one stays; killed in the
    moment of the exchange, there is none."""
    guests.mkdir(parents=True, exist_ok=True)
    for leftover in guests.glob(f".{function}.*-*"):
        if not _is_running(leftover.name.rpartition("-")[2]):
            shutil.rmtree(leftover)
    partial = guests / f".{function}.partial-{os.getpid()}"
    old = guests / f".{function}.old-{os.getpid()}"
    try:
        partial.mkdir()
        yield partial
        for file in partial.iterdir():
            durable.sync(file)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rename(guests / function, old)
            durable.publish(partial, guests / function)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        for folder in (partial, old):
            shutil.rmtree(folder, ignore_errors=True)


def write_memory(source: Path, target: Path, runs: Iterable[tuple[int, int]], page: int) -> None:
    """A copy of a memory of which only these runs of pages, first and count, hold data."""
    with source.open("rb", buffering=0) as read, target.open("xb", buffering=0) as write:
        write.truncate(os.fstat(read.fileno()).st_size)
        for first, count in runs:
            offset, end = first * page, (first + count) * page
            while offset < end:
                data = os.pread(read.fileno(), min(1 << 20, end - offset), offset)
                if not data:
                    raise OSError(f"{source} became shorter while it was copied")
                offset += os.pwrite(write.fileno(), data, offset)


def write_description(
    path: Path, *, vmm: str, function: str, memory_mib: int, boot_id: str, calls_made: int,
    calls: Mapping[str, Call], image: Path, written_by_vmm: list[int],
) -> None:  # fmt: skip
    """guest.json, of all the other files that `path` holds. `image` is what the guest booted."""
    booted = json.loads((image / "image.json").read_text())
    value = {
        "format": FORMAT,
        "vmm": vmm,
        "function": function,
        "memory_mib": memory_mib,
        "boot_id": boot_id,
        "calls": calls_made,
        "inputs": {name: vars(calls[name]) for name in CALLS},
        "written_by_vmm": written_by_vmm,
        "image": {name: booted[name] for name in ("kernel_sha256", "initramfs_sha256")},
        "sha256": {file.name: sha256_of(file) for file in sorted(path.iterdir())},
    }
    durable.write_json(path / "guest.json", value)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
