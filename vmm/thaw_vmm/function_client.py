# SPDX-License-Identifier: Apache-2.0
"""Talks to the guest's function over the serial console."""

import json
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure
from .unix_socket import Lines, connect

# What one request may take: the guest's console driver holds back 64 KiB, and a line has no flow
# control.
REQUEST_BYTES_MAX = 32 << 10
_NOISE_LINES = 8


@dataclass(frozen=True)
class Answered:
    reply: dict
    asked_ns: int
    replied_ns: int


class FunctionClient:
    """A session with the function. Belongs to one thread. A serial port has one at a time."""

    def __init__(self, console: Path | socket.socket, timeout_s: float) -> None:
        """Over the socket of that path, or a connection, which is closed with the session."""
        self._timeout_s = timeout_s
        self._noise: list[str] = []
        if isinstance(console, Path):
            try:
                console = connect(console, timeout_s)
            except OSError as error:
                raise Failure(
                    f"cannot reach the guest's serial console {console}: {error.strerror}",
                    "is the VM running? see the log in its folder, then boot or resume it",
                ) from error
        self._lines = Lines(console)

    def __enter__(self) -> "FunctionClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def wait_ready(self) -> dict:
        """The function's first words after boot."""
        return self._wait(lambda message: message.get("ready") is True, "boot to a ready function")

    def call(self, request: dict) -> tuple[dict, float]:
        """The reply to `request`, and the milliseconds it took."""
        answered = self.timed_call(request)
        return answered.reply, (answered.replied_ns - answered.asked_ns) / 1e6

    def timed_call(self, request: dict) -> Answered:
        """The reply to `request`, and when, on the monotonic clock."""
        # The tag tells the reply from one to a caller that gave up before.
        tag = request.get("id", secrets.token_hex(4))
        line = json.dumps({**request, "id": tag}).encode() + b"\n"
        if len(line) > REQUEST_BYTES_MAX:
            raise Failure(
                f"the request has {len(line)} bytes, the serial console takes {REQUEST_BYTES_MAX}",
                'send a smaller document, or let the function make one: {"orders": N, "seed": S}',
            )
        asked_ns = time.monotonic_ns()
        try:
            # The empty line ends what an interrupted caller may have left half sent.
            self._lines.send(b"\n" + line, self._timeout_s)
        except OSError as error:
            raise self._failure("take a request", "the serial console was cut off") from error
        reply = self._wait(lambda message: message.get("id") == tag, "answer a request")
        return Answered(reply, asked_ns, time.monotonic_ns())

    def _wait(self, wanted, purpose: str) -> dict:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                line = self._lines.read(deadline - time.monotonic())
            except EOFError as error:
                raise self._failure(purpose, "the VMM ended") from error
            except TimeoutError as error:
                raise self._failure(purpose, f"no answer for {self._timeout_s:g} s") from error
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict) and wanted(message):
                return message
            self._noise = [*self._noise, line.decode(errors="replace").rstrip()][-_NOISE_LINES:]

    def _failure(self, purpose: str, why: str) -> Failure:
        said = [*self._noise, self._lines.rest().decode(errors="replace").rstrip()]
        said = [line for line in said if line]
        heard = (
            "\n".join(["; its console said last:", *said]) if said else "; its console said nothing"
        )
        return Failure(
            f"the guest did not {purpose}: {why}{heard}",
            "see the log in the VM's folder; if a page server feeds this VM, see that one's log too",
        )
