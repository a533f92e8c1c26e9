# SPDX-License-Identifier: Apache-2.0
"""One measured resume of a guest of the lab: one call, or all of its memory compared.

Every time is of the monotonic clock, which all processes share, so that a page server can set its
own beside them.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import lab_guest, process_memory
from .failure import Failure
from .lab_guest import LabGuest
from .vmm import Resumption, Vmm, WrittenAtLoad

_PAGE = 4096
_COMPARE_BYTES = 1 << 20
_PAGES_NAMED = 16
_SCRATCH = "/dev/shm"


@dataclass(frozen=True)
class Measure:
    """What to measure. `memory` is the guest's own if none is given; `vm_path` a folder that goes
    away."""

    guest: Path
    how: Resumption
    call: str | None  # of lab_guest.CALLS; None: verify
    vm_path: Path | None
    follow_input: bool


def measure(vmm: Vmm, what: Measure) -> Iterator[dict]:
    """The result. No guest runs on, however it ends."""
    guest = lab_guest.load(what.guest, vmm.name)
    how = replace(
        what.how,
        vmstate=guest.vmstate,
        memory=None if what.how.way == "uffd" else what.how.memory or guest.memory,
        memory_mib=guest.memory_mib,
        outlives=False,
    )
    go = _follow_input() if what.follow_input else None
    with _folder(what.vm_path) as path:
        if what.call is None:
            yield _verify(vmm, guest, path, how, go)
        else:
            yield _call(vmm, guest, path, how, go, what.call)


@contextlib.contextmanager
def _folder(path: Path | None) -> Iterator[Path]:
    """The VM's folder; no VM runs there afterwards."""
    with contextlib.ExitStack() as stack:
        if path is None:
            root = Path(_SCRATCH) if os.access(_SCRATCH, os.W_OK) else None
            scratch = tempfile.TemporaryDirectory(dir=root, prefix="thaw-measure-")
            path = Path(stack.enter_context(scratch)) / "vm"
        yield path


def _follow_input() -> threading.Event:
    """Set by the first line of standard input, whose end ends this program, as SIGTERM does."""
    go = threading.Event()

    def follow() -> None:
        # What ends the program is for the main thread, which has something to take away.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        while data := os.read(sys.stdin.fileno(), 64):
            if b"\n" in data:
                go.set()
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    return go


def _hold(go: threading.Event | None) -> None:
    """With a follower, until it says so."""
    if go is not None:
        print(json.dumps({"held": True}), flush=True)
        go.wait()


def _call(
    vmm: Vmm, guest: LabGuest, path: Path, how: Resumption, go: threading.Event | None, name: str
) -> dict:
    """A resume and one call, which is answered right."""
    call = guest.calls[name]
    before: list[process_memory.Usage] = []

    def hold(pid: int) -> None:
        _hold(go)
        before.append(process_memory.usage(pid))

    with vmm.loaded(path, how, hold) as resumed:
        pid = resumed.pid
        with resumed.console(how.timeout_s) as function:
            resumed.run()
            answered = function.timed_call(call.request(guest.function))
            used = process_memory.usage(pid)
            guest.check_reply(call, answered.reply)
            size = guest.memory_mib << 20
            cost = process_memory.footprint(pid, resumed.memory_base(), size)
            start_ms = _ms(resumed.started_ns, resumed.ready_ns)
            load_ms = _ms(resumed.loading_ns, resumed.running_ns)
            loaded_call_ms = _ms(resumed.loading_ns, answered.replied_ns)
            return {
                "function": guest.function,
                "way": how.way,
                "call": name,
                "accelerator": vmm.accelerator(),
                "pid": pid,
                "start_ms": start_ms,
                "load_ms": load_ms,
                "resume_ms": round(start_ms + load_ms, 3),
                "call_ms": _ms(answered.asked_ns, answered.replied_ns),
                "loaded_call_ms": loaded_call_ms,
                "total_ms": round(start_ms + loaded_call_ms, 3),
                "minor_faults": used.minor_faults - before[0].minor_faults,
                "major_faults": used.major_faults - before[0].major_faults,
                "cpu_ms": _ms(before[0].cpu_ns, used.cpu_ns),
                "total_cpu_ms": _ms(0, used.cpu_ns),
                **asdict(cost),
                "sha256": call.sha256,
                "started_ns": resumed.started_ns,
                "ready_ns": resumed.ready_ns,
                "loading_ns": resumed.loading_ns,
                "loaded_ns": resumed.loaded_ns,
                "running_ns": resumed.running_ns,
                "asked_ns": answered.asked_ns,
                "replied_ns": answered.replied_ns,
            }


def _verify(
    vmm: Vmm, guest: LabGuest, path: Path, how: Resumption, go: threading.Event | None
) -> dict:
    """A resume whose guest never runs; every byte of its memory is the snapshot's."""
    with vmm.loaded(path, how, lambda _: _hold(go)) as resumed:
        compared = _compare(
            vmm, guest.memory, resumed.pid, resumed.memory_base(), guest.written_by_vmm
        )
        if compared.sha256 != guest.sha256["memory"]:
            raise Failure(
                f"{guest.memory} is not what it was when its guest.json was written",
                "make the guest anew",
                corrupt=True,
            )
        return {
            "function": guest.function,
            "way": how.way,
            "accelerator": vmm.accelerator(),
            "pid": resumed.pid,
            "pages_compared": compared.pages,
            "data_pages": compared.data_pages,
            "written_by_vmm": compared.written,
        }


def written_at_load(
    vmm: Vmm, path: Path, memory: Path, vmstate: Path, memory_mib: int
) -> list[int]:
    """The pages in which the VMM itself writes when it loads this snapshot, found by one load in the
    folder `path` over the memory's own file. Failure if it wrote otherwise than its driver knows."""
    if not vmm.written_at_load:
        return []
    how = Resumption(vmstate=vmstate, way="file", memory=memory, memory_mib=memory_mib, outlives=False)
    with vmm.loaded(path, how, lambda _: None) as resumed:
        anywhere = range((memory_mib << 20) // _PAGE)
        return _compare(vmm, memory, resumed.pid, resumed.memory_base(), anywhere).written


@dataclass(frozen=True)
class _Compared:
    pages: int
    data_pages: int
    written: list[int]  # in these the VMM itself wrote
    sha256: str  # of what was expected


def _compare(vmm: Vmm, memory: Path, pid: int, base: int, may_write: Container[int]) -> _Compared:
    """Each page of the VM's memory with that of the file. One that differs, other than the VMM's
    rules have it for pages of `may_write`, or that cannot be had, is a failure that names it."""
    wrong: list[int] = []
    written: list[int] = []
    left = {rule: rule.pages_max for rule in vmm.written_at_load}
    data_pages = 0
    size = memory.stat().st_size
    zero = bytes(_PAGE)
    digest = hashlib.sha256()
    buffer = (ctypes.c_char * _COMPARE_BYTES)()
    with memory.open("rb") as file:
        for offset in range(0, size, _COMPARE_BYTES):
            expected = file.read(_COMPARE_BYTES)
            digest.update(expected)
            got = process_memory.read(pid, base + offset, buffer)
            seen = memoryview(buffer).cast("B")
            whole = got == len(expected) and seen == expected
            for at in range(0, len(expected), _PAGE):
                page = expected[at : at + _PAGE]
                data_pages += page != zero
                if whole or (at + _PAGE <= got and seen[at : at + _PAGE] == page):
                    continue
                # One at a time, so that a page that cannot be had hides no other.
                one = (ctypes.c_char * _PAGE)()
                number = (offset + at) // _PAGE
                if process_memory.read(pid, base + offset + at, one) != _PAGE:
                    wrong.append(number)
                elif bytes(one) != page:
                    rule = _rule(left, offset + at, page, bytes(one))
                    if rule is None or number not in may_write:
                        wrong.append(number)
                    else:
                        written.append(number)
                        left[rule] -= 1
    if wrong:
        named = ", ".join(map(str, wrong[:_PAGES_NAMED])) + (", ..." * (len(wrong) > _PAGES_NAMED))
        raise Failure(
            f"the guest's memory is wrong in {len(wrong)} of {size // _PAGE} pages: {named}",
            f"whatever served them is broken; they must be as in {memory}",
            corrupt=True,
        )
    return _Compared(size // _PAGE, data_pages, written, digest.hexdigest())


def _rule(
    left: dict[WrittenAtLoad, int], address: int, page: bytes, seen: bytes
) -> WrittenAtLoad | None:
    """The rule by which the VMM may have changed the page, of those that have pages left."""
    changed = [address + at for at in range(_PAGE) if page[at] != seen[at]]
    first, last = changed[0], changed[-1]
    for rule, pages in left.items():
        inside = first in rule.addresses and last in rule.addresses
        if pages > 0 and inside and last - first < rule.structure_bytes_max:
            return rule
    return None


def _ms(begin_ns: int, end_ns: int) -> float:
    return round((end_ns - begin_ns) / 1e6, 3)
