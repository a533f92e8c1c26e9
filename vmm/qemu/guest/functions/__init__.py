# SPDX-License-Identifier: Apache-2.0
"""The functions of the guest. Each module has

  answer(request: dict) -> dict: the part of the reply that depends on the request alone, with
  `sha256` over all that was computed. ValueError for a request that it will not take.

Only the standard library, and of that only what guest_image.py keeps. A module is imported with the
first request that names it, so a warm guest holds what its own function needs and nothing of the
others.
"""

NAMES = ("json", "html", "aes", "compress", "text", "graph")


def number(request: dict, name: str, default: int, limit: int) -> int:
    """The request's number of that name: 0 to `limit`."""
    value = int(request.get(name, default))
    if not 0 <= value <= limit:
        raise ValueError(f"{name} is {value}; it must be from 0 to {limit}")
    return value
