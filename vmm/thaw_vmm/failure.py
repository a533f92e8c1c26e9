# SPDX-License-Identifier: Apache-2.0
"""The one exception of the driver: an operation failed, and its message is for the operator."""


class Failure(Exception):
    """Its text says what failed, on what and why; `remedy` says what to do.

    `corrupt` says that something was not what it must be: a page, a reply, a file. Whoever measures
    stops at it, and tries nothing again.
    """

    def __init__(self, what: str, remedy: str, *, corrupt: bool = False) -> None:
        super().__init__(what)
        self.remedy = remedy
        self.corrupt = corrupt
