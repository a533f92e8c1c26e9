# SPDX-License-Identifier: Apache-2.0
"""Firecracker as the lab records and measures guests in it (thaw_vmm/vmm.py)."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thaw_vmm import guest_image, process_memory
from thaw_vmm.failure import Failure
from thaw_vmm.function_client import FunctionClient
from thaw_vmm.vmm import TIMEOUT_S_DEFAULT, Resumption, WrittenAtLoad, hardware_virtualises

from .firecracker_process import FirecrackerProcess, require_firecracker, started
from .kernel import write_elf

# Quiet: replies share the console. `reboot=k`, by the keyboard controller, is how Firecracker ends.
_KERNEL_COMMAND_LINE = (
    "console=ttyS0 quiet reboot=k panic=-1 pci=off i8042.noaux i8042.nomux i8042.dumbkbd "
    "mitigations=off nopti cryptomgr.notests"
)


@dataclass
class Loaded:
    """A VM whose device state is loaded, before the guest goes on (vmm.LoadedVm)."""

    process: FirecrackerProcess
    how: Resumption
    ready_ns: int  # its API can be used
    loading_ns: int
    loaded_ns: int
    running_ns: int = 0

    @property
    def started_ns(self) -> int:
        return self.process.started_ns

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self) -> None:
        self.process.api.patch("/vm", state="Resumed")
        self.running_ns = time.monotonic_ns()

    def console(self, timeout_s: float) -> FunctionClient:
        return FunctionClient(self.process.serial.dup(), timeout_s)

    def memory_base(self) -> int:
        """Firecracker tells only the page server. Its guest's memory is what is mapped from the file,
        or registered with userfaultfd; up to 3 GiB that is one range."""
        ranges = process_memory.ranges(self.pid, None if self.how.way == "uffd" else self.how.memory)
        if len(ranges) != 1 or ranges[0][1] != self.how.memory_mib << 20:
            raise Failure(
                f"cannot tell where Firecracker has its {self.how.memory_mib} MiB of guest memory: "
                f"candidates are {[(hex(base), size) for base, size in ranges]}",
                "use Firecracker v1.12 or later, and a guest of at most 3 GiB",
            )
        return ranges[0][0]


class Firecracker:
    name = "firecracker"
    driver = "thaw-firecracker"
    preloads = False
    # Nothing outside can have all pages of a paused Firecracker there as its own, so `present` is none.
    ways = ("file", "uffd")
    written_at_load = (
        # Its own devices, in memory that it keeps for itself (layout.rs: SYSTEM_MEM_START to
        # RSDP_ADDR): VMGenID's 16 bytes, new with each load, and VMClock's counters of loads.
        WrittenAtLoad(range(0x9FC00, 0xE0000), pages_max=2, structure_bytes_max=112),
        # The guest's kvmclock, wherever the guest has it: KVM brings the time of the virtual CPU (32
        # bytes) and the wall clock (12) up to date when the registers that name them are set.
        WrittenAtLoad(range(4 << 30), pages_max=2, structure_bytes_max=32),
    )

    def accelerator(self) -> str:
        return "kvm" if hardware_virtualises() else "kvm, emulated"

    def check(self) -> None:
        require_firecracker()
        if not hardware_virtualises():
            raise Failure(
                "no guest boots here in any time: the processor does not virtualise (no flag vmx or "
                "svm in /proc/cpuinfo), so that /dev/kvm only emulates",
                "use a machine with hardware virtualisation, or allow nested guests on its host",
            )

    def warm_snapshot(
        self, path: Path, image: Path, memory_mib: int, request: dict, output: Path
    ) -> dict:
        kernel, initramfs = guest_image.files(image)
        least_mib = guest_image.memory_mib_min(image)
        if memory_mib < least_mib:
            raise Failure(
                f"the guest image {image} does not fit into a guest of {memory_mib} MiB",
                f"give it {least_mib} MiB",
            )
        with (
            tempfile.NamedTemporaryFile(dir=path.parent, prefix="vmlinux-") as elf,
            started(path, TIMEOUT_S_DEFAULT, "boot and snapshot") as process,
            FunctionClient(process.serial.dup(), TIMEOUT_S_DEFAULT) as function,
        ):
            write_elf(kernel, Path(elf.name))
            api = process.api
            api.put(
                "/machine-config", vcpu_count=1, mem_size_mib=memory_mib, track_dirty_pages=False
            )
            api.put(
                "/boot-source",
                kernel_image_path=elf.name,
                initrd_path=str(initramfs.absolute()),
                boot_args=_KERNEL_COMMAND_LINE,
            )
            api.put("/actions", action_type="InstanceStart")
            function.wait_ready()
            reply, _ = function.call(request)
            api.patch("/vm", state="Paused")
            output.mkdir()
            api.put(
                "/snapshot/create",
                snapshot_type="Full",
                snapshot_path=str((output / "vmstate").absolute()),
                mem_file_path=str((output / "memory").absolute()),
            )
        return reply

    @contextlib.contextmanager
    def loaded(
        self, path: Path, how: Resumption, before_load: Callable[[int], None]
    ) -> Iterator[Loaded]:
        backend = _backend(how)
        if not how.vmstate.is_file() or how.vmstate.stat().st_size == 0:
            raise Failure(
                f"no device state in {how.vmstate}: missing, empty or no file",
                "give the vmstate of a snapshot",
            )
        with started(path, how.timeout_s, f"resume by {how.way}") as process:
            ready_ns = time.monotonic_ns()
            before_load(process.pid)
            loading_ns = time.monotonic_ns()
            process.api.put(
                "/snapshot/load",
                snapshot_path=str(how.vmstate.absolute()),
                mem_backend=backend,
                resume_vm=False,
            )
            yield Loaded(process, how, ready_ns, loading_ns, time.monotonic_ns())


def _backend(how: Resumption) -> dict:
    """Where the memory comes from, as the API has it."""
    if how.way == "uffd":
        if how.uffd_socket is None or not how.uffd_socket.is_socket():
            raise Failure(
                f"--way uffd needs a page server; {how.uffd_socket or 'none'} is no Unix socket",
                "start the page server and name its socket with --uffd-socket",
            )
        return {"backend_type": "Uffd", "backend_path": str(how.uffd_socket.absolute())}
    if how.memory is None or not how.memory.is_file():
        raise Failure(
            f"no memory file {how.memory or '(none given)'}",
            "give the memory of a snapshot with --memory",
        )
    return {"backend_type": "File", "backend_path": str(how.memory.absolute())}
