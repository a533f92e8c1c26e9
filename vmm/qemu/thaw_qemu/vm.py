# SPDX-License-Identifier: Apache-2.0
"""The life of a VM: boot, call, snapshot, resume, quit. One invocation works on a VM's folder at a
time.

Every verb returns what it did as a dictionary, or raises Failure and leaves no process behind that
it started.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thaw_vmm import durable, guest_image
from thaw_vmm.failure import Failure
from thaw_vmm.function_client import FunctionClient
from thaw_vmm.vmm import TIMEOUT_S_DEFAULT, Resumption

from . import qemu_process
from .qemu_process import Machine, QemuProcess, VmDirectory
from .qmp import Qmp, QmpError

WAYS = ("file", "present", "uffd")
MEMORY_MIB_DEFAULT = 256
MEMORY_MIB_MIN = 128
# Against typing errors: the memory becomes a file of this size.
MEMORY_MIB_MAX = 16 << 10

_POLL_S = 0.001
_QUIT_WAIT_S = 3.0
# Quiet: replies share the console. Without mitigations and self tests: an emulated guest has no
# neighbour to fear.
_KERNEL_COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off nopti cryptomgr.notests"


def boot(vm_path: Path, image: Path, memory_mib: int, timeout_s: float) -> dict:
    """Boots the image until its function is ready. The memory is VM/memory, shared."""
    kernel, initramfs = guest_image.files(image)
    _check_size(memory_mib)
    least_mib = guest_image.memory_mib_min(image)
    if memory_mib < least_mib:
        raise Failure(
            f"the guest image {image} does not fit into a guest of {memory_mib} MiB",
            f"boot it with --memory-mib {least_mib} or more",
        )
    with _locked(vm_path, create=True) as vm:
        _refuse_running(vm)
        machine = Machine(
            memory=vm.memory,
            memory_mib=memory_mib,
            shared=True,
            way="boot",
            arguments=(
                *("-kernel", str(kernel)),
                *("-initrd", str(initramfs)),
                *("-append", _KERNEL_COMMAND_LINE),
            ),
        )
        with _started(vm, machine) as process:
            with (
                _qmp(vm, timeout_s, "boot") as qmp,
                FunctionClient(vm.serial_socket, timeout_s) as function,
            ):
                qmp.execute("cont")
                ready = function.wait_ready()
            return {
                "pid": process.pid,
                "boot_ms": _since(process.begin),
                "boot_id": ready.get("boot_id"),
                "accelerator": qemu_process.accelerator(),
            }


def call(vm_path: Path, request: dict, repeat: int, timeout_s: float) -> Iterator[dict]:
    """Sends `request` `repeat` times; one dictionary with the reply and its time for each."""
    with _locked(vm_path) as vm:
        _running(vm)
        with FunctionClient(vm.serial_socket, timeout_s) as function:
            for _ in range(repeat):
                reply, call_ms = function.call(request)
                yield {"call_ms": round(call_ms, 3), "reply": reply}


def snapshot(vm_path: Path, output: Path, timeout_s: float) -> dict:
    """Stops a booted VM and leaves OUTPUT/memory and OUTPUT/vmstate; the VM ends.

    When anything fails, OUTPUT does not exist and the VM runs on.
    """
    output = output.absolute()
    with _locked(vm_path) as vm:
        process = _running(vm)
        if process.state["way"] != "boot":
            raise Failure(
                f"cannot snapshot {vm.path}: it was resumed, so its memory is private to QEMU",
                "boot a VM and snapshot that one",
            )
        if os.path.lexists(output):
            raise Failure(
                f"cannot write the snapshot {output}: it exists",
                "choose another folder, or delete it",
            )
        begin = time.monotonic()
        partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
        with _qmp(vm, timeout_s, "snapshot") as qmp:
            made = False
            try:
                qmp.execute("stop")
                partial.mkdir(parents=True)
                made = True
                _save(qmp, vm, partial, timeout_s)
                save_ms = _since(begin)
                durable.publish(partial, output)
            except BaseException as error:
                # A snapshot shares its memory file with this VM: it must be gone, under its first
                # name or its last, before the VM goes on to write there.
                if made:
                    shutil.rmtree(partial if partial.exists() else output)
                # A QEMU that died cannot go on; the first error says more than this one.
                with contextlib.suppress(QmpError):
                    qmp.execute("migrate_cancel")
                    qmp.execute("cont")
                if isinstance(error, OSError):
                    raise Failure(
                        f"cannot write the snapshot {output}: {error.strerror}",
                        "free space or choose another folder, then try again: the VM runs on",
                    ) from error
                raise
        _end(vm, process)
        return {
            "output": str(output),
            "save_ms": save_ms,
            "snapshot_ms": _since(begin),
            "memory_bytes": (output / "memory").stat().st_size,
            "vmstate_bytes": (output / "vmstate").stat().st_size,
        }


@dataclass
class Loaded:
    """A VM whose device state is loaded, before the guest goes on (vmm.LoadedVm)."""

    vm: VmDirectory
    process: QemuProcess
    qmp: Qmp
    ready_ns: int  # QEMU stands ready to load
    loading_ns: int  # just before it is told to
    loaded_ns: int
    running_ns: int = 0  # the guest

    @property
    def started_ns(self) -> int:
        """Just before QEMU was started."""
        return round(self.process.begin * 1e9)

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self) -> None:
        """Lets the guest go on."""
        self.qmp.execute("cont")
        self.running_ns = time.monotonic_ns()

    def console(self, timeout_s: float) -> FunctionClient:
        return FunctionClient(self.vm.serial_socket, timeout_s)

    def memory_base(self) -> int:
        """Where QEMU has the guest's memory: one mapping, from the guest's address 0 on."""
        said = str(self.qmp.execute("human-monitor-command", **{"command-line": "gpa2hva 0"}))
        # "Host virtual address for 0x0 (memory) is 0x7f..."
        with contextlib.suppress(ValueError):
            return int(said.rpartition(" ")[2], 16)
        raise Failure(f"QEMU does not tell where guest memory is: {said!r}", "use QEMU 7.2")


@contextlib.contextmanager
def loaded(
    vm_path: Path, how: Resumption, before_load: Callable[[QemuProcess], None] | None = None
) -> Iterator[Loaded]:
    """A snapshot in a new QEMU, its memory private. The VM runs on when the block succeeds, and is
    gone when it fails. `before_load` is called when QEMU stands ready: it has mapped its memory and
    touched none of it."""
    memory, vmstate = how.memory, how.vmstate
    memory_mib = _memory_size(memory, how.way, how.memory_mib)
    if not vmstate.is_file() or vmstate.stat().st_size == 0:
        raise Failure(
            f"no device state in {vmstate}: missing, empty or no file",
            "give the vmstate of a snapshot",
        )
    with _locked(vm_path, create=True) as vm, vmstate.open("rb") as state:
        _refuse_running(vm)
        if how.way == "uffd" or memory is None:
            path = vm.placeholder
        else:
            path = memory.absolute()
            if path.parent.samefile(vm.path):
                raise Failure(
                    f"{path} is in the folder of the VM that shall use it",
                    "move it: that folder is cleaned",
                )
        machine = Machine(
            memory=path,
            memory_mib=memory_mib,
            shared=False,
            way=how.way,
            arguments=("-incoming", "defer"),
            environment=_environment(how.way, path, how.preload, how.uffd_socket),
            outlives=how.outlives,
        )
        with (
            _started(vm, machine) as process,
            _qmp(vm, how.timeout_s, f"resume by {how.way}") as qmp,
        ):
            _check_memory(vm, process, machine, how.preload)
            qmp.execute(
                "migrate-set-capabilities",
                capabilities=[{"capability": "x-ignore-shared", "state": True}],
            )
            qmp.execute("getfd", fd=state.fileno(), fdname="vmstate")
            ready_ns = time.monotonic_ns()
            if before_load is not None:
                before_load(process)
            loading_ns = time.monotonic_ns()
            qmp.execute("migrate-incoming", uri="fd:vmstate")
            _poll(
                lambda: qmp.execute("query-status")["status"] != "inmigrate",
                how.timeout_s,
                "load the device state",
            )
            yield Loaded(vm, process, qmp, ready_ns, loading_ns, time.monotonic_ns())


def resume(vm_path: Path, how: Resumption) -> dict:
    """Resumes a snapshot into a new QEMU, its memory private, and leaves it running."""
    with loaded(vm_path, how) as resumed:
        resumed.run()
        return {
            "pid": resumed.process.pid,
            "way": how.way,
            "resume_ms": _between(resumed.started_ns, resumed.running_ns),
            "start_ms": _between(resumed.started_ns, resumed.ready_ns),
        }


def quit_vm(vm_path: Path) -> dict:
    """Ends the VM if it runs, and removes its sockets and memory."""
    with _locked(vm_path) as vm:
        process = qemu_process.find(vm)
        how = "not running" if process is None else _end(vm, process)
        vm.clean()
        return {"ended": how}


def _end(vm: VmDirectory, process: QemuProcess) -> str:
    """Asks QEMU to quit; kills one that does not, as when a page server left it waiting for
    memory."""
    how = "quit"
    # QEMU may end before it answers.
    with contextlib.suppress(QmpError), Qmp(vm.qmp_socket, _QUIT_WAIT_S) as qmp:
        qmp.execute("quit")
    if not process.ended(_QUIT_WAIT_S):
        how = "killed"
        process.kill()
    vm.clean()
    return how


def _save(qmp: Qmp, vm: VmDirectory, output: Path, timeout_s: float) -> None:
    """Device state and memory of a stopped VM, complete and on disk in `output`."""
    with (output / "vmstate").open("xb") as state:
        qmp.execute(
            "migrate-set-capabilities",
            capabilities=[{"capability": "x-ignore-shared", "state": True}],
        )
        qmp.execute("getfd", fd=state.fileno(), fdname="vmstate")
        qmp.execute("migrate", uri="fd:vmstate")

        def migrated() -> bool:
            status = qmp.execute("query-migrate")
            if status.get("status") in ("failed", "cancelled"):
                why = status.get("error-desc", status["status"])
                raise Failure(
                    f"QEMU cannot save its device state to {output}: {why}{vm.log_tail()}",
                    "free space on that file system, then try again: the VM runs on",
                )
            return status.get("status") == "completed"

        _poll(migrated, timeout_s, "save the device state")
        os.fsync(state.fileno())
    durable.link_or_copy(vm.memory, output / "memory")


def _poll(done, timeout_s: float, purpose: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise QmpError(f"QEMU did not {purpose} in {timeout_s:g} s")
        time.sleep(_POLL_S)


@contextlib.contextmanager
def _locked(path: Path, create: bool = False) -> Iterator[VmDirectory]:
    """The VM's folder, held against other invocations."""
    path = path.absolute()
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True)
            strangers = {entry.name for entry in path.iterdir()} - {"lock"}
            # Starting a VM deletes leftovers by name, which must not hit a snapshot's memory.
            if strangers and "vm.json" not in strangers:
                raise Failure(
                    f"{path} is no VM's folder: it holds {', '.join(sorted(strangers)[:4])}",
                    "name a new folder",
                )
        elif not (path / "vm.json").exists():
            raise Failure(
                f"{path} is no VM's folder: it has no vm.json", "boot or resume a VM there first"
            )
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Failure(
            f"cannot use {path} as a VM's folder: {error.strerror}", "name another folder"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(f"another thaw-qemu works on {path}", "wait until it ends") from error
        yield VmDirectory(path)
    finally:
        os.close(lock)


@contextlib.contextmanager
def _started(vm: VmDirectory, machine: Machine) -> Iterator[QemuProcess]:
    """A new QEMU that runs on when the block succeeds, and is gone with its sockets when it
    fails."""
    process = qemu_process.start(vm, machine)
    try:
        yield process
    except BaseException:
        process.kill()
        vm.clean()
        raise


@contextlib.contextmanager
def _qmp(vm: VmDirectory, timeout_s: float, purpose: str) -> Iterator[Qmp]:
    """A QMP session whose failures name the purpose and end with what QEMU said."""
    try:
        with Qmp(vm.qmp_socket, timeout_s) as qmp:
            yield qmp
    except QmpError as error:
        raise Failure(
            f"cannot {purpose} in {vm.path}: {error}{vm.log_tail()}",
            "mend what the log says; if a page server feeds this VM, see that one's log too",
        ) from error


def _environment(way: str, memory: Path, preload: Path | None, uffd_socket: Path | None) -> tuple:
    """What makes the preload library serve `memory` the given way; nothing for a plain file."""
    if way == "file":
        return ()
    if preload is None or not preload.is_file():
        raise Failure(
            f"--way {way} needs the preload library; {preload or 'none'} is no file",
            "build libthaw_uffd_preload.so and name it with --preload",
        )
    # The dynamic linker ends a name in LD_PRELOAD at either.
    if " " in str(preload.absolute()) or ":" in str(preload.absolute()):
        raise Failure(
            f"the dynamic linker cannot preload {preload}: a space or colon in its path",
            "move the library",
        )
    environment = [
        ("LD_PRELOAD", str(preload.absolute())),
        ("THAW_PRELOAD_MODE", "uffd" if way == "uffd" else "populate"),
        ("THAW_PRELOAD_MEMORY", str(memory)),
    ]
    if way == "uffd":
        if uffd_socket is None or not uffd_socket.is_socket():
            raise Failure(
                f"--way uffd needs a page server; {uffd_socket or 'none'} is no Unix socket",
                "start the page server and name its socket with --uffd-socket",
            )
        environment.append(("THAW_PRELOAD_SOCKET", str(uffd_socket.absolute())))
    return tuple(environment)


def _check_memory(
    vm: VmDirectory, process: QemuProcess, machine: Machine, preload: Path | None
) -> None:
    """The dynamic linker goes on without a library that it cannot load; the guest must not."""
    if machine.way == "file" or preload is None:
        return
    loaded = process.maps(preload.absolute())
    if not loaded or (machine.way == "uffd" and process.maps(vm.placeholder)):
        raise Failure(
            f"QEMU runs without the preload library {preload}{vm.log_tail()}",
            "build the library for this machine; QEMU must not be set-user-id",
        )


def _memory_size(memory: Path | None, way: str, memory_mib: int | None) -> int:
    """The guest's memory in MiB: as given, else as large as the memory file, else the default."""
    if memory is None or not memory.exists():
        if way != "uffd":
            raise Failure(
                f"no memory file {memory or '(none given)'}",
                "give the memory of a snapshot with --memory",
            )
        size_mib = MEMORY_MIB_DEFAULT if memory_mib is None else memory_mib
        _check_size(size_mib)
        return size_mib
    size = memory.stat().st_size
    if (
        not memory.is_file()
        or size % (1 << 20) != 0
        or (memory_mib is not None and size != memory_mib << 20)
    ):
        wanted = "a whole number of MiB" if memory_mib is None else f"{memory_mib} MiB"
        raise Failure(
            f"the memory file {memory} has {size} bytes; it must be a file of {wanted}",
            "give the memory of the snapshot whole, and --memory-mib as at boot or not at all",
        )
    _check_size(size >> 20)
    return size >> 20


def _check_size(memory_mib: int) -> None:
    if not MEMORY_MIB_MIN <= memory_mib <= MEMORY_MIB_MAX:
        raise Failure(
            f"a guest of {memory_mib} MiB is not possible",
            f"choose from {MEMORY_MIB_MIN} to {MEMORY_MIB_MAX} MiB",
        )


def _refuse_running(vm: VmDirectory) -> None:
    process = qemu_process.find(vm)
    if process is not None:
        raise Failure(
            f"{vm.path} is in use: QEMU process {process.pid} runs there",
            f"thaw-qemu quit --vm {vm.path}, or name another folder",
        )


def _running(vm: VmDirectory) -> QemuProcess:
    process = qemu_process.find(vm)
    if process is None:
        raise Failure(
            f"no VM runs in {vm.path}: its QEMU ended{vm.log_tail()}", "boot or resume it"
        )
    return process


def _since(begin: float) -> float:
    """Milliseconds."""
    return round((time.monotonic() - begin) * 1e3, 3)


def _between(begin_ns: int, end_ns: int) -> float:
    """Milliseconds."""
    return round((end_ns - begin_ns) / 1e6, 3)
