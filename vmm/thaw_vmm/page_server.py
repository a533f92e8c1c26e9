# SPDX-License-Identifier: Apache-2.0
"""A page server in its plainest form: one thread, page by page, from a memory file. For tests of
the VMM's side, and to record which pages a guest touches first."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096


def _ioctl_number(number: int, size: int) -> int:
    """_IOWR of userfaultfd's ioctls."""
    return (3 << 30) | (size << 16) | (0xAA << 8) | number


UFFDIO_REGISTER = _ioctl_number(0x00, 32)
REGISTER_MISSING, REGISTER_WP = 1, 2
UFFDIO_WRITEPROTECT = _ioctl_number(0x06, 24)
COPY_WRITE_PROTECTED = 2
UFFDIO_WAKE = (2 << 30) | (16 << 16) | (0xAA << 8) | 0x02
UFFDIO_COPY = _ioctl_number(0x03, 40)
UFFDIO_ZEROPAGE = _ioctl_number(0x04, 32)
EVENT_PAGEFAULT = 0x12
EVENT_REMOVE = 0x15
FAULT_IS_WRITE, FAULT_IS_WRITE_PROTECTED = 1, 2


@dataclass(frozen=True)
class Fault:
    """A page that the guest did not have or, with `again`, writes for the first time after reading it."""

    page: int
    write: bool
    gap_ns: int  # from the end of the service of the fault before
    again: bool = False


class PageServer:
    """Serves one VMM, page by page, from a memory file, until the VMM hangs up.

    `lie` serves zeros in place of every page; `mute` takes the handshake and serves nothing.
    `see_writes` installs what is read first write-protected, so that its first write is a fault too.
    """

    def __init__(
        self, path: Path, memory: Path, *, lie: bool = False, mute: bool = False,
        see_writes: bool = False,
    ) -> None:
        self.handshake: list[dict] = []
        self.handshake_fds = 0
        self.faults: list[Fault] = []  # in order; grows while the VMM runs
        self.hung_up = threading.Event()
        self.error: BaseException | None = None
        self._lie = lie
        self._mute = mute
        self._see_writes = see_writes
        self._base = 0
        self._removed: set[int] = set()  # offsets of pages
        self._idle_since_ns = 0
        with memory.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join(10)
        for fd in (self._stop_read, self._stop_write):
            os.close(fd)
        self._listener.close()

    def _run(self) -> None:
        try:
            if self._listener not in select.select([self._listener, self._stop_read], [], [])[0]:
                return
            connection, _ = self._listener.accept()
            with connection:
                body, fds, _, _ = socket.recv_fds(connection, 1 << 16, 4)
                self.handshake = json.loads(body)
                self.handshake_fds = len(fds)
                self._serve(connection, fds[0])
                for fd in fds:
                    os.close(fd)
        except BaseException as error:  # the test reports it
            self.error = error

    def _serve(self, connection: socket.socket, uffd: int) -> None:
        region = self.handshake[0]
        base, size = region["base_host_virt_addr"], region["size"]
        self._base = base
        if self._see_writes:
            mode = REGISTER_MISSING | REGISTER_WP
            fcntl.ioctl(uffd, UFFDIO_REGISTER, bytearray(struct.pack("<QQQQ", base, size, mode, 0)))
        poll = select.poll()
        for fd in (connection.fileno(), self._stop_read, *(() if self._mute else (uffd,))):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._stop_read in ready:
                return
            if connection.fileno() in ready and not connection.recv(1):
                self.hung_up.set()
                return
            # Removals come before the faults read with them: those pages are zero from then on.
            faults = []
            for event, first, second in self._events(uffd):
                if event == EVENT_REMOVE:
                    self._remove(first, second)
                elif event == EVENT_PAGEFAULT:
                    faults.append((second & ~(PAGE - 1), first))
            for address, flags in faults:
                assert base <= address < base + size, f"fault at {address:#x} outside the region"
                since = self._idle_since_ns
                gap_ns = time.monotonic_ns() - since if since else 0
                write = bool(flags & FAULT_IS_WRITE)
                again = bool(flags & FAULT_IS_WRITE_PROTECTED)
                self.faults.append(Fault((address - base) // PAGE, write or again, gap_ns, again))
                if again:
                    unprotect = struct.pack("<QQQ", address, PAGE, 0)
                    fcntl.ioctl(uffd, UFFDIO_WRITEPROTECT, bytearray(unprotect))
                else:
                    self._install(uffd, address, address - base, self._see_writes and not write)
                self._idle_since_ns = time.monotonic_ns()

    def _remove(self, start: int, end: int) -> None:
        self._removed.update(range(start - self._base, end - self._base, PAGE))

    @staticmethod
    def _events(uffd: int) -> list[tuple[int, int, int]]:
        try:
            data = os.read(uffd, 32 * 64)
        except BlockingIOError:
            return []
        return [
            (event, first, second)
            for event, first, second, _ in struct.iter_unpack("<B7xQQQ", data)
        ]

    def _install(self, uffd: int, address: int, offset: int, protect: bool) -> None:
        page = self._memory[offset : offset + PAGE]
        zero = self._lie or offset in self._removed or not any(page)
        while True:
            try:
                if zero and not protect:  # the kernel protects no page that it zeroes
                    fcntl.ioctl(
                        uffd, UFFDIO_ZEROPAGE, bytearray(struct.pack("<QQQq", address, PAGE, 0, 0))
                    )
                else:
                    source = ctypes.create_string_buffer(bytes(PAGE) if zero else page, PAGE)
                    mode = COPY_WRITE_PROTECTED if protect else 0
                    copy = struct.pack("<QQQQq", address, ctypes.addressof(source), PAGE, mode, 0)
                    fcntl.ioctl(uffd, UFFDIO_COPY, bytearray(copy))
                return
            except OSError as error:
                if error.errno == errno.EEXIST:
                    fcntl.ioctl(uffd, UFFDIO_WAKE, bytearray(struct.pack("<QQ", address, PAGE)))
                    return
                if error.errno in (errno.ESRCH, errno.ENOENT):  # the VMM ends
                    return
                if error.errno != errno.EAGAIN:
                    raise
                for event, first, second in self._events(uffd):
                    assert event == EVENT_REMOVE, "a fault of a second thread during a removal"
                    self._remove(first, second)
