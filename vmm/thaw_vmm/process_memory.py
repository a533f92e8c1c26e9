# SPDX-License-Identifier: Apache-2.0
"""The memory of another process: what it costs, and every byte of it."""

import ctypes
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.process_vm_readv.restype = ctypes.c_ssize_t
_CPU_CLOCK = 2  # of a process, as the kernel schedules it (linux/posix-timers.h: CPUCLOCK_SCHED)


class _Range(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


@dataclass(frozen=True)
class Footprint:
    """What a range of addresses costs: in memory, its share of that, and what nobody shares."""

    rss_bytes: int = 0
    pss_bytes: int = 0
    private_bytes: int = 0


def footprint(pid: int, base: int, size: int) -> Footprint:
    """Of the mappings within the range, however the kernel cut it."""
    sums = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            begin, end = (int(word, 16) for word in words[0].split("-"))
            inside = base <= begin and end <= base + size
        elif inside and words[0][:-1] in sums:
            sums[words[0][:-1]] += int(words[1]) << 10
    return Footprint(
        rss_bytes=sums["Rss"],
        pss_bytes=sums["Pss"],
        private_bytes=sums["Private_Clean"] + sums["Private_Dirty"],
    )


def ranges(pid: int, file: Path | None) -> list[tuple[int, int]]:
    """Address and size of what the process has mapped from the file or, without one, registered with a
    userfaultfd for missing pages; mappings that follow each other are one range."""
    # By name: on stacked file systems the map shows another device than stat does.
    name = None if file is None else str(file.resolve())
    found: list[tuple[int, int]] = []
    begin = end = 0
    named = False
    for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines():
        words = line.split(maxsplit=5)
        if not words[0].endswith(":"):
            begin, end = (int(word, 16) for word in words[0].split("-"))
            named = words[5:] == [name]
        elif words[0] == "VmFlags:" and (named if name is not None else "um" in line.split()):
            if found and sum(found[-1]) == begin:
                begin = found.pop()[0]
            found.append((begin, end - begin))
    return found


@dataclass(frozen=True)
class Usage:
    """What a process with all its threads used since it began."""

    minor_faults: int
    major_faults: int
    cpu_ns: int


def usage(pid: int) -> Usage:
    # proc(5), fields 10 and 12. The times beside them count in hundredths of seconds.
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu_ns = time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK)
    return Usage(minor_faults=int(fields[7]), major_faults=int(fields[9]), cpu_ns=cpu_ns)


def read(pid: int, address: int, buffer: ctypes.Array) -> int:
    """Fills `buffer` from the process's memory and returns how much of it: less where a page cannot
    be had. Unlike a read of /proc/PID/mem it waits for pages that a page server still has to
    bring."""
    local = _Range(ctypes.addressof(buffer), len(buffer))
    remote = _Range(address, len(buffer))
    while True:
        got = _LIBC.process_vm_readv(
            pid, ctypes.byref(local), ctypes.c_ulong(1), ctypes.byref(remote), ctypes.c_ulong(1),
            ctypes.c_ulong(0),
        )  # fmt: skip
        if got >= 0:
            return got
        number = ctypes.get_errno()
        if number == errno.EFAULT:
            return 0
        if number != errno.EINTR:
            raise OSError(number, f"cannot read the memory of process {pid}: {os.strerror(number)}")
