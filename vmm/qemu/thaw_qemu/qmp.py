# SPDX-License-Identifier: Apache-2.0
"""QEMU's machine protocol: one JSON object a line, one answer a command, events in between."""

import json
from pathlib import Path

from thaw_vmm.unix_socket import Lines, connect


class QmpError(Exception):
    """QEMU is gone, is silent, or refused; the text says which."""


class Qmp:
    """A QMP session. Belongs to one thread. Close it, or use it in `with`: QEMU has one at a
    time."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        try:
            self._lines = Lines(connect(path, timeout_s))
        except OSError as error:
            raise QmpError(f"nobody listens on {path}: {error.strerror}") from error
        try:
            self._message("the greeting")
            self.execute("qmp_capabilities")
        except BaseException:
            self._lines.close()
            raise

    def __enter__(self) -> "Qmp":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def execute(self, command: str, fd: int | None = None, **arguments: object) -> dict:
        """QEMU's answer to a command; `fd` goes along with it."""
        message = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            self._lines.send(message, self._timeout_s, fd)
        except TimeoutError as error:
            raise QmpError(f"QEMU did not take {command} for {self._timeout_s:g} s") from error
        except OSError as error:
            raise QmpError("QEMU ended") from error
        while True:
            answer = self._message(command)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"QEMU refused {command}: {answer['error'].get('desc')}")

    def _message(self, awaited: str) -> dict:
        try:
            return json.loads(self._lines.read(self._timeout_s))
        except EOFError as error:
            raise QmpError("QEMU ended") from error
        except TimeoutError as error:
            raise QmpError(f"no word from QEMU on {awaited} for {self._timeout_s:g} s") from error
        except ValueError as error:
            raise QmpError(f"QEMU sent something else than JSON: {error}") from error
