# SPDX-License-Identifier: Apache-2.0
"""Unix sockets by path, and the lines that come over them."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path


def listen(path: Path) -> socket.socket:
    """A listening socket named `path`, replacing a leftover.

    A VMM inherits it: whoever connects is never too early, and is cut off at once when that dies.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as short:
            listener.bind(short)
        listener.listen(4)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection to whoever listens on `path`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _short(path) as short:
            connection.connect(short)
    except BaseException:
        connection.close()
        raise
    return connection


class Lines:
    """A connection that is read by lines. Belongs to one thread. Close it, or use it in `with`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = bytearray()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes, timeout_s: float, fd: int | None = None) -> None:
        """All of `data`, and `fd` beside its first byte."""
        self._socket.settimeout(timeout_s)
        if fd is not None:
            sent = socket.send_fds(self._socket, [data], [fd])
            data = data[sent:]
        self._socket.sendall(data)

    def read(self, timeout_s: float) -> bytes:
        """The next line without its end. EOFError when the peer is gone, TimeoutError when it is
        silent; what came before either stays for `rest`."""
        deadline = time.monotonic() + timeout_s
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(1 << 16)
            except (ConnectionResetError, BrokenPipeError) as error:
                raise EOFError from error
            if not data:
                raise EOFError
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def rest(self) -> bytes:
        """What came since the last whole line."""
        return bytes(self._received)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of `path` by its parent's fd: a socket's address ends after 107 bytes."""
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{parent}/{path.name}"
    finally:
        os.close(parent)
