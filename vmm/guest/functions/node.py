# SPDX-License-Identifier: Apache-2.0
"""node: a function in JavaScript (node.js) that searches documents through an index. A resident
node process answers it: it starts with the first request, and is warm from then on.

  {"documents": count, "seed": number, "input": size}

Large: more documents, which are besides packed, unpacked and rendered.
"""

import json
import shutil
import subprocess
from pathlib import Path

from . import is_large, number

DOCUMENTS_DEFAULT = 300
DOCUMENTS_LARGE = 900
DOCUMENTS_MAX = 20_000
PROGRAM = "node"

if shutil.which(PROGRAM) is None:
    raise ImportError(f"no program {PROGRAM}")

_node: subprocess.Popen | None = None


def _running() -> subprocess.Popen:
    global _node
    if _node is None or _node.poll() is not None:
        script = Path(__file__).with_name("node.js")
        _node = subprocess.Popen(
            [PROGRAM, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
    return _node


def ask(request: dict) -> dict:
    """The answer of the resident process; a later request finds a new one if it ends."""
    node = _running()
    node.stdin.write(json.dumps(request).encode() + b"\n")
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = node.stdout.readline()
        if not piece:
            raise RuntimeError(f"node ended with status {node.wait()} and no answer")
        line += piece
    return json.loads(line)


def answer(request: dict) -> dict:
    large = is_large(request)
    default = DOCUMENTS_LARGE if large else DOCUMENTS_DEFAULT
    documents = number(request, "documents", default, DOCUMENTS_MAX)
    return ask({"documents": documents, "seed": int(request.get("seed", 1)), "large": large})
