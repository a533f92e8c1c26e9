# SPDX-License-Identifier: Apache-2.0
"""A Firecracker process in a folder of its own: started, until its API can be used, and ended.

It works in its folder, so that the name of its socket is short whatever the folder's is, and dies with
the thread that started it.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thaw_vmm.failure import Failure
from thaw_vmm.vmm import kvm_opens

from .api import Api, ApiError

PROGRAM = "firecracker"

_API_SOCKET = "api.sock"
_LOG = "firecracker.log"
_ERRORS = "firecracker.errors"  # its standard error: it does not append to its log
_FILES = {_API_SOCKET, _LOG, _ERRORS}
_LOG_TAIL_LINES = 8
_POLL_S = 0.001
_END_WAIT_S = 10.0
_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec there is no time for it.
_LIBC = ctypes.CDLL(None)


def require_firecracker() -> None:
    """Failure if the program or /dev/kvm is missing."""
    if shutil.which(PROGRAM) is None:
        raise Failure(
            f"there is no program {PROGRAM} in PATH",
            "install a release of Firecracker, v1.12 or later, under that name",
        )
    if not kvm_opens():
        raise Failure(
            "Firecracker needs /dev/kvm, which cannot be opened for writing",
            "load the module kvm_intel or kvm_amd, or allow the device to this user",
        )


@dataclass
class FirecrackerProcess:
    """A running Firecracker that waits for its first request."""

    path: Path  # its folder
    api: Api
    serial: socket.socket  # the guest's console: its standard input and output
    pid: int
    started_ns: int  # just before it was started, on the monotonic clock


@contextlib.contextmanager
def started(path: Path, timeout_s: float, purpose: str) -> Iterator[FirecrackerProcess]:
    """A Firecracker in the folder `path`, which is made if it is missing and keeps the log. It is gone
    after the block. What its API refuses is a Failure that names the purpose and ends with the log."""
    require_firecracker()
    with _locked(path), contextlib.ExitStack() as stack:
        (path / _API_SOCKET).unlink(missing_ok=True)
        stack.callback((path / _API_SOCKET).unlink, missing_ok=True)
        ours, its = socket.socketpair()
        stack.enter_context(ours)
        started_ns = time.monotonic_ns()
        (path / _LOG).write_bytes(b"")
        with its, (path / _ERRORS).open("wb") as errors:
            child = subprocess.Popen(
                [PROGRAM, "--api-sock", _API_SOCKET, "--log-path", _LOG, "--level", "Warning"],
                cwd=path, stdin=its, stdout=its, stderr=errors, start_new_session=True,
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        stack.callback(_end, child)
        try:
            api = stack.enter_context(_connected(path, child, timeout_s))
            yield FirecrackerProcess(path, api, ours, child.pid, started_ns)
        except ApiError as error:
            raise Failure(
                f"cannot {purpose} in {path}: {error}{_log_tail(path)}",
                "mend what the log says; if a page server feeds this VM, see that one's log too",
            ) from error


def _connected(path: Path, child: subprocess.Popen, timeout_s: float) -> Api:
    """Its API, as soon as it listens."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return Api(path / _API_SOCKET, timeout_s)
        except ApiError:
            if child.poll() is not None:
                raise ApiError(f"Firecracker ended with status {child.returncode}") from None
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def _end(child: subprocess.Popen) -> None:
    """It has nothing to save."""
    child.kill()
    try:
        child.wait(_END_WAIT_S)
    except subprocess.TimeoutExpired as error:
        raise Failure(
            f"Firecracker (process {child.pid}) does not end {_END_WAIT_S:g} s after SIGKILL",
            "it waits in the kernel: free its file system or mount",
        ) from error


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The folder, made if it is missing, held against others."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        strangers = sorted({entry.name for entry in path.iterdir()} - _FILES)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(
            f"cannot use {path} as a VM's folder: {error.strerror}", "name another folder"
        ) from error
    try:
        if strangers:
            raise Failure(
                f"{path} is no VM's folder: it holds {', '.join(strangers[:4])}",
                "name a new folder",
            )
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(f"another Firecracker runs in {path}", "name another folder") from error
        yield
    finally:
        os.close(folder)


def _log_tail(path: Path) -> str:
    """What Firecracker said last, ready to follow an error message."""
    texts = [(path / name).read_text(errors="replace") for name in (_LOG, _ERRORS)]
    lines = "".join(texts).splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join(["; it said last:", *lines]) if lines else "; it said nothing"
