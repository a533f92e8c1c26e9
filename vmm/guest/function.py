# SPDX-License-Identifier: Apache-2.0
"""The guest's service: one JSON request a line on standard input, one JSON reply a line on standard
output. The functions are the modules of the package `functions`; see there for what each takes.

Request:
  {"id": any, "function": name, "seed": number, "input": "small" or "large", ...what the function
  takes besides}; without a name, "json"
Reply:
  {"id": as sent, "ok": true, "calls": n, "boot_id": hex, "sha256": hex, ...what it found} or
  {"id": as sent, "ok": false, "error": text, "calls": n, "boot_id": hex}

`sha256` depends on the request alone; `boot_id` tells which warm process answered, `calls` how many
requests it has answered, this one included. A line that is no JSON object is not counted.
"""

import importlib
import json
import os
import platform
import sys

import functions


def answer(request: dict) -> dict:
    """The part of the reply that depends on the request alone."""
    name = request.get("function", functions.NAMES[0])
    if name not in functions.NAMES:
        raise ValueError(f"no function {name}; there are {', '.join(functions.NAMES)}")
    try:
        function = importlib.import_module(f"functions.{name}")
    except (ImportError, FileNotFoundError) as error:
        if name not in functions.NEEDS:
            raise
        need = functions.NEEDS[name]
        raise RuntimeError(
            f"function {name} needs {need}, which is not here ({error}); build the guest's image "
            f"with it: thaw-qemu image --with {need}"
        ) from error
    return function.answer(request)


def say(message: dict) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    boot_id = os.urandom(8).hex()
    calls = 0
    say({"ready": True, "boot_id": boot_id, "python": platform.python_version()})
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        reply: dict = {"id": None, "ok": True, "boot_id": boot_id}
        try:
            request = json.loads(line)
            reply["id"] = request.get("id")
            calls += 1
            reply.update(answer(request))
        # The service outlives every request; whatever a request breaks is the caller's to read.
        except Exception as error:
            reply.update(ok=False, error=f"{type(error).__name__}: {error}")
        say({**reply, "calls": calls})


main()
