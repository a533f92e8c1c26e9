# SPDX-License-Identifier: Apache-2.0
"""What a VMM's driver has to offer, so that guests can be recorded (record_traces.py) and measured
(measure.py) in it."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .function_client import FunctionClient

TIMEOUT_S_DEFAULT = 60.0


def hardware_virtualises() -> bool:
    """Whether guests run on the processor itself: a /dev/kvm without vmx or svm emulates every
    instruction."""
    flags: list[str] = []
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("flags"):
                flags = line.split()
                break
    return "vmx" in flags or "svm" in flags


def kvm_opens() -> bool:
    """Whether this process may use /dev/kvm."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


@dataclass(frozen=True)
class Resumption:
    """What a VM is resumed from, and how."""

    vmstate: Path
    way: str  # of the VMM's ways
    memory: Path | None = None
    memory_mib: int | None = None
    preload: Path | None = None
    uffd_socket: Path | None = None
    timeout_s: float = TIMEOUT_S_DEFAULT
    outlives: bool = True  # whoever resumes it


@dataclass(frozen=True)
class WrittenAtLoad:
    """What a VMM or KVM itself changes in a guest's memory while the device state is loaded: of a few
    pages within these addresses, the bytes of one structure."""

    addresses: range  # of the guest
    pages_max: int
    structure_bytes_max: int


class LoadedVm(Protocol):
    """A VM whose device state is loaded, before the guest goes on. Times are of the monotonic
    clock, in nanoseconds, which all processes share."""

    started_ns: int  # just before the VMM was started
    ready_ns: int  # it stands ready to load
    loading_ns: int  # just before it is told to
    loaded_ns: int
    running_ns: int  # the guest, after run()

    @property
    def pid(self) -> int:
        """The VMM's process."""

    def run(self) -> None:
        """Lets the guest go on."""

    def console(self, timeout_s: float) -> FunctionClient:
        """A session with the guest's function."""

    def memory_base(self) -> int:
        """Where the VMM has the guest's memory; all of it is one range."""


class Vmm(Protocol):
    """A VMM that the lab's guests run in."""

    name: str  # as guest.json has it
    driver: str  # the program
    preloads: bool  # whether it hands its memory over only by libthaw_uffd_preload.so
    ways: tuple[str, ...]  # how a resumed guest may get its memory
    written_at_load: tuple[WrittenAtLoad, ...]

    def accelerator(self) -> str:
        """What runs the guest's instructions."""

    def check(self) -> None:
        """Failure if no guest can be booted here."""

    def warm_snapshot(
        self, path: Path, image: Path, memory_mib: int, request: dict, output: Path
    ) -> dict:
        """Boots the image in the folder `path`, makes one call and leaves OUTPUT/memory and
        OUTPUT/vmstate; the reply. The VM is gone, however it ends."""

    def loaded(
        self, path: Path, how: Resumption, before_load: Callable[[int], None]
    ) -> AbstractContextManager[LoadedVm]:
        """A snapshot in a new VMM, which is gone after the block. `before_load` is called with its
        process when it stands ready: it has touched none of its memory."""
