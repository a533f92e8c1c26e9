# SPDX-License-Identifier: Apache-2.0
"""Firecracker's API: HTTP over a Unix socket, one request after the other. Only members that v1.12 and
all later versions accept are sent: an unknown one is refused."""

import http.client
import json
from pathlib import Path

from thaw_vmm.unix_socket import connect


class ApiError(Exception):
    """Firecracker is gone, is silent, or refused; the text says which."""


class Api:
    """A session. Belongs to one thread. Close it, or use it in `with`."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._http = http.client.HTTPConnection("localhost")
        try:
            self._http.sock = connect(path, timeout_s)
        except OSError as error:
            raise ApiError(f"nobody listens on {path}: {error.strerror}") from error

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def put(self, resource: str, **members: object) -> None:
        self._send("PUT", resource, members)

    def patch(self, resource: str, **members: object) -> None:
        self._send("PATCH", resource, members)

    def _send(self, method: str, resource: str, members: dict) -> None:
        what = f"{method} {resource}"
        try:
            self._http.request(
                method, resource, json.dumps(members), {"Content-Type": "application/json"}
            )
            answer = self._http.getresponse()
            body = answer.read()
        except TimeoutError as error:
            raise ApiError(f"no answer to {what} for {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"Firecracker ended during {what}") from error
        if answer.status >= 300:
            raise ApiError(f"Firecracker refused {what}: {_fault(body)}")


def _fault(body: bytes) -> str:
    try:
        return str(json.loads(body)["fault_message"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:400])
