# SPDX-License-Identifier: Apache-2.0
"""compress: log lines through zlib at several levels and back.

  {"lines": count, "seed": number, "input": size}

Large: more lines, which then go through a gzip file in memory, line by line.
"""

import hashlib
import random
import zlib

from . import is_large, number

LINES_DEFAULT = 6000
LINES_LARGE = 15_000
LINES_MAX = 200_000
LEVELS = (1, 6, 9)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
PLACES = ("/", "/index.html", "/api/v1/orders", "/api/v1/customers", "/static/app.js", "/login")


def make_log(lines: int, seed: int) -> bytes:
    source = random.Random(seed)
    clock = 0
    out = []
    for _ in range(lines):
        clock += source.randrange(2000)
        out.append(
            f"{clock:012} 10.{source.randrange(4)}.{source.randrange(256)}.{source.randrange(256)} "
            f"{source.choice(METHODS)} {source.choice(PLACES)} "
            f"{source.choice((200, 200, 304, 404))} {source.randrange(1 << 16)}\n"
        )
    return "".join(out).encode()


def through_gzip(log: bytes) -> list[bytes]:
    """The log's lines, written to a gzip file and read from it."""
    # Only here: a guest that was warmed with a small input has never seen it.
    import gzip
    import io

    packed = io.BytesIO()
    with gzip.open(packed, "wb", compresslevel=4) as file:
        file.writelines(log.splitlines(keepends=True))
    packed.seek(0)
    with gzip.open(packed, "rb") as file:
        return list(file)


def answer(request: dict) -> dict:
    large = is_large(request)
    lines = number(request, "lines", LINES_LARGE if large else LINES_DEFAULT, LINES_MAX)
    log = make_log(lines, int(request.get("seed", 1)))
    digest = hashlib.sha256()
    sizes = []
    for level in LEVELS:
        packed = zlib.compress(log, level)
        sizes.append(len(packed))
        # Over what comes back: the packed bytes may differ from one zlib to the next.
        digest.update(zlib.decompress(packed))
    if large:
        digest.update(b"".join(sorted(through_gzip(log))))
    return {"bytes": len(log), "packed": sizes, "sha256": digest.hexdigest()}
