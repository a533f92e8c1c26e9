# SPDX-License-Identifier: Apache-2.0
"""mmap: maps anonymous memory, writes to each of its pages and reads them in an order of its own.

  {"pages": count, "seed": number, "input": size}

Large: a larger region. It is mapped and unmapped anew with each request, and in small pages, so
that each of them is a fault of its own.
"""

import hashlib
import mmap
import random

from . import is_large, number

PAGES_DEFAULT = 1024
PAGES_LARGE = 4096
PAGES_MAX = 1 << 15
PAGE = 4096


def touch(pages: int, seed: int) -> bytes:
    """What was written to the first bytes of each page, in the order in which it is read."""
    source = random.Random(seed)
    order = list(range(pages))
    with mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as region:
        region.madvise(mmap.MADV_NOHUGEPAGE)
        for page in order:
            region[page * PAGE : page * PAGE + 8] = source.getrandbits(64).to_bytes(8, "little")
        source.shuffle(order)
        return b"".join(region[page * PAGE : page * PAGE + 16] for page in order)


def answer(request: dict) -> dict:
    default = PAGES_LARGE if is_large(request) else PAGES_DEFAULT
    pages = number(request, "pages", default, PAGES_MAX)
    # A region of no pages cannot be mapped.
    found = touch(pages, int(request.get("seed", 1))) if pages else b""
    return {"pages": pages, "sha256": hashlib.sha256(found).hexdigest()}
