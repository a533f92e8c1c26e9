# SPDX-License-Identifier: Apache-2.0
"""The functions of the guest. Each module has

  answer(request: dict) -> dict: the part of the reply that depends on the request alone, with
  `sha256` over all that was computed. ValueError for a request that it will not take.

Every function takes {"seed": number, "input": "small" or "large"}. A large input (the default is
small) is not only more of the same: the function does with it what it does not do with a small
one, so a recording with the one foretells only a part of what the other touches. Where a module
names further sizes, they take the place of the input's.

Only the standard library, and of that only what guest_image.py keeps; NEEDS says which functions
need more. A module is imported with the first request that names it, so a warm guest holds what
its own function needs and nothing of the others.
"""

NAMES = (
    "json", "html", "aes", "compress", "text", "graph",
    "hello", "mmap", "matmul", "image", "imports", "node",
)  # fmt: skip
# What the image must have besides: `thaw-qemu image --with`.
NEEDS = {"matmul": "numpy", "image": "pil", "imports": "numpy", "node": "node"}
INPUTS = ("small", "large")


def is_large(request: dict) -> bool:
    """Whether the request is for the large input."""
    size = request.get("input", INPUTS[0])
    if size not in INPUTS:
        raise ValueError(f"input is {size}; it must be {' or '.join(INPUTS)}")
    return size == "large"


def number(request: dict, name: str, default: int, limit: int) -> int:
    """The request's number of that name: 0 to `limit`."""
    value = int(request.get(name, default))
    if not 0 <= value <= limit:
        raise ValueError(f"{name} is {value}; it must be from 0 to {limit}")
    return value
