# SPDX-License-Identifier: Apache-2.0
"""hello: a greeting; nearly all that it touches is the interpreter's and the kernel's.

  {"seed": number, "input": size}

Large: it greets some thousand names, in the order of the alphabet, as a letter.
"""

import hashlib

from . import is_large

NAMES_LARGE = 4000
BEGINS = ("Al", "Ber", "Cla", "Do", "El", "Fre", "Gi", "Ha", "In", "Jo", "Ka", "Lu", "Ma")
ENDS = ("bert", "da", "ra", "ris", "sa", "rick", "na", "nnes", "ga", "seph", "rin", "cas", "ria")


def name_of(number: int) -> str:
    first, second = divmod(number, len(ENDS))
    return f"{BEGINS[first % len(BEGINS)]}{ENDS[second]} {number // 169 % 100}"


def write_letter(seed: int) -> str:
    """A greeting to each of many."""
    # Only here: a guest that was warmed with a small input has never seen it.
    import textwrap

    names = sorted({name_of(seed * 7919 + number * 31) for number in range(NAMES_LARGE)})
    return textwrap.fill(f"Hello {', '.join(names)}!", width=72)


def answer(request: dict) -> dict:
    seed = int(request.get("seed", 1))
    greeting = write_letter(seed) if is_large(request) else f"Hello {name_of(seed)}!"
    return {
        "bytes": len(greeting),
        "greeting": greeting[:32],
        "sha256": hashlib.sha256(greeting.encode()).hexdigest(),
    }
