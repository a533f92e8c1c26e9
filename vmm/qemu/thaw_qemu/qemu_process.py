# SPDX-License-Identifier: Apache-2.0
"""Starts a QEMU process, finds it again from a later invocation, ends it.

A QEMU carries a random token in its command line, and VM/vm.json has the same token: a process is
ours when both agree, whatever the process id in VM/qemu.pid meanwhile stands for.
"""

import contextlib
import ctypes
import json
import os
import secrets
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from thaw_vmm import unix_socket
from thaw_vmm.failure import Failure
from thaw_vmm.vmm import hardware_virtualises, kvm_opens

_EMULATOR = "qemu-system-x86_64"
# A versioned machine: a snapshot's device state fits this one alone.
_MACHINE = "pc-q35-7.2"
_LOG_TAIL_LINES = 8
_END_WAIT_S = 10.0
_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec there is no time for it.
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class VmDirectory:
    """The files of one VM."""

    path: Path

    @property
    def memory(self) -> Path:
        return self.path / "memory"

    @property
    def placeholder(self) -> Path:
        """Stands in for the memory file when a page server has the memory."""
        return self.path / "memory-placeholder"

    @property
    def serial_socket(self) -> Path:
        return self.path / "serial.sock"

    @property
    def qmp_socket(self) -> Path:
        return self.path / "qmp.sock"

    @property
    def pid_file(self) -> Path:
        return self.path / "qemu.pid"

    @property
    def log(self) -> Path:
        return self.path / "qemu.log"

    @property
    def state(self) -> Path:
        return self.path / "vm.json"

    def clean(self) -> None:
        """Removes what a VM that ended leaves; its log and vm.json stay."""
        for path in (
            self.serial_socket,
            self.qmp_socket,
            self.pid_file,
            self.memory,
            self.placeholder,
        ):
            path.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """What QEMU said last, ready to follow an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        except OSError:
            lines = []
        return (
            "\n".join([f"; the end of {self.log}:", *lines]) if lines else f"; {self.log} is empty"
        )


def accelerator() -> str:
    """kvm where the processor virtualises, else tcg, which is faster than a KVM that emulates."""
    return "kvm" if hardware_virtualises() and kvm_opens() else "tcg"


@dataclass(frozen=True)
class Machine:
    """What a QEMU is started with."""

    memory: Path
    memory_mib: int
    shared: bool
    way: str  # how the memory comes: boot, file, present or uffd
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    outlives: bool = True  # whoever started it


class QemuProcess:
    """A running QEMU. Whoever holds it need not be its parent."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        state: dict,
        child: subprocess.Popen | None = None,
        begin: float = 0.0,
    ) -> None:
        self.pid = pid
        self.state = state
        self.begin = begin  # of the process, on the monotonic clock; 0 when found running
        self._pidfd = pidfd
        self._child = child

    def ended(self, wait_s: float) -> bool:
        """Whether the process ended, after waiting for it up to `wait_s`."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(wait_s * 1e3):
            return False
        if self._child is not None:
            self._child.wait()
        else:
            # Found again by the process that started it: it is still that one's to reap.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return True

    def kill(self) -> None:
        """Ends the process now, and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if not self.ended(_END_WAIT_S):
            raise Failure(
                f"QEMU (process {self.pid}) does not end {_END_WAIT_S:g} s after SIGKILL",
                "it waits in the kernel: free its file system or mount, then run quit again",
            )

    def maps(self, path: Path) -> bool:
        """Whether the process has mapped the file `path`."""
        # By name: on stacked file systems the map shows another device than stat does.
        wanted = str(path.resolve())
        with open(f"/proc/{self.pid}/maps", encoding="utf-8", errors="replace") as maps:
            return any(line.rstrip("\n").split(maxsplit=5)[5:] == [wanted] for line in maps)


def find(vm: VmDirectory) -> QemuProcess | None:
    """The QEMU that runs this VM, or None."""
    try:
        state = json.loads(vm.state.read_text())
        pid = int(vm.pid_file.read_text())
        token = state["token"]
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    # Read after the pidfd is open: from here on the id cannot come to mean another process.
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        arguments = []
    if _name(token).encode() not in arguments:
        os.close(pidfd)
        return None
    return QemuProcess(pid, pidfd, state)


def start(vm: VmDirectory, machine: Machine) -> QemuProcess:
    """Starts QEMU, stopped before its first instruction, in a session of its own: it outlives this
    process, or, if the machine says so, the kernel kills it when this process ends, however that
    comes."""
    vm.clean()
    if machine.memory in (vm.memory, vm.placeholder):
        _make_sparse(machine.memory, machine.memory_mib << 20)
    token = secrets.token_hex(8)
    state = {"token": token, "way": machine.way, "memory_mib": machine.memory_mib}
    vm.state.write_text(json.dumps(state) + "\n")
    begin = time.monotonic()
    with (
        unix_socket.listen(vm.serial_socket) as serial,
        unix_socket.listen(vm.qmp_socket) as qmp,
        vm.log.open("wb") as log,
    ):
        try:
            child = subprocess.Popen(
                _command(vm, machine, token, serial.fileno(), qmp.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **dict(machine.environment)},
                pass_fds=(serial.fileno(), qmp.fileno()),
                start_new_session=True,
                preexec_fn=None if machine.outlives else _die_with_parent,
            )
        except OSError as error:
            raise Failure(
                f"cannot start {_EMULATOR}: {error.strerror}", "install qemu-system-x86"
            ) from error
    return QemuProcess(child.pid, os.pidfd_open(child.pid), state, child, begin)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _make_sparse(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.truncate(size)


def _name(token: str) -> str:
    return f"guest=thaw-{token}"


def _command(
    vm: VmDirectory, machine: Machine, token: str, serial_fd: int, qmp_fd: int
) -> list[str]:
    kind = accelerator()
    # A comma ends a QEMU option; two stand for one.
    memory_path = str(machine.memory).replace(",", ",,")
    share = "on" if machine.shared else "off"
    size = f"{machine.memory_mib}M"
    return [
        _EMULATOR,
        *("-name", _name(token)),
        *("-machine", f"{_MACHINE},memory-backend=memory,mem-merge=off"),
        *("-accel", kind),
        *("-cpu", "host" if kind == "kvm" else "max"),
        *("-smp", "1"),
        *("-m", size),
        *(
            "-object",
            f"memory-backend-file,id=memory,size={size},mem-path={memory_path},share={share}",
        ),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-S"),
        *("-display", "none"),
        *("-pidfile", str(vm.pid_file)),
        *("-chardev", f"socket,id=serial,fd={serial_fd},server=on,wait=off"),
        *("-serial", "chardev:serial"),
        *("-chardev", f"socket,id=qmp,fd={qmp_fd},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *machine.arguments,
    ]
